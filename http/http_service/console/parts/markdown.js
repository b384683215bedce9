/** A little Markdown as nodes, never as markup: what a model writes can't become anything but text. */
import { html } from "./html.js";

const INLINE = /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(\*[^*\s][^*\n]*\*)/g;

function inline(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    parts.push(text.slice(from, found.index));
    const [whole, code, strong] = found;
    if (code) parts.push(html`<code>${code.slice(1, -1)}</code>`);
    else if (strong) parts.push(html`<strong>${strong.slice(2, -2)}</strong>`);
    else parts.push(html`<em>${whole.slice(1, -1)}</em>`);
    from = found.index + whole.length;
  }
  parts.push(text.slice(from));
  return parts;
}

const lines = (list) => list.flatMap((each, at) => (at ? [html`<br />`, ...inline(each)] : inline(each)));

const ITEM = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/;

/** A block of lines without a blank one: a list, a heading or a paragraph. */
function block(list) {
  const items = list.map((each) => ITEM.exec(each));
  if (items.every(Boolean)) {
    const inside = items.map((each) => html`<li>${inline(each[2])}</li>`);
    return items[0][1] ? html`<ol start=${Number(items[0][1])}>${inside}</ol>` : html`<ul>${inside}</ul>`;
  }
  const heading = list.length === 1 && /^#{1,6}\s+(.*)$/.exec(list[0]);
  return heading ? html`<p><strong>${inline(heading[1])}</strong></p>` : html`<p>${lines(list)}</p>`;
}

/** `text` as nodes; what is begun and not yet ended (a fence) is shown as far as it is there. */
export function markdown(text) {
  const nodes = [];
  let open = [];
  let fence = null;
  const flush = () => {
    if (open.length) nodes.push(block(open));
    open = [];
  };
  for (const line of text.split("\n")) {
    if (/^\s*```/.test(line)) {
      if (fence) nodes.push(html`<pre tabindex="0">${fence.join("\n")}</pre>`);
      else flush();
      fence = fence ? null : [];
    } else if (fence) fence.push(line);
    else if (line.trim() === "") flush();
    else open.push(line);
  }
  if (fence) nodes.push(html`<pre tabindex="0">${fence.join("\n")}</pre>`);
  flush();
  return nodes;
}
