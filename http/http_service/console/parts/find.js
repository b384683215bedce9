/** The box that finds: models, children of the tree, requests and pages, as a combobox. */
import { useState } from "preact/hooks";
import { visible } from "./format.js";
import { html } from "./html.js";
import { PAGES } from "./keys.js";
import { to } from "./route.js";
import { models, outline, requests, tree } from "./store.js";

const MOST = 12;

function found(text) {
  const wanted = text.toLowerCase();
  const all = [
    ...PAGES.map(([page, name]) => ["page", name, to(page)]),
    ...models.value.map(({ id }) => ["model", id, to("models", id)]),
    ...outline(tree.value).map(({ node }) => ["actor", node.path || node.id, to("tree", node.path)]),
    ...requests.value.map(({ id }) => ["request", id, to("requests", id)]),
  ];
  return all.filter(([, name]) => name.toLowerCase().includes(wanted)).slice(0, MOST);
}

export function Find() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const hits = text ? found(text) : [];
  const close = () => {
    setText("");
    setAt(0);
  };
  const key = (event) => {
    if (event.key === "Escape") {
      close();
      event.target.blur();
    } else if (event.key === "Enter" && hits[at]) {
      location.hash = hits[at][2];
      close();
      event.target.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt(Math.max(0, Math.min(hits.length - 1, at + (event.key === "ArrowDown" ? 1 : -1))));
    }
  };
  return html`<div class="find">
    <input id="find" type="search" placeholder="Find…" aria-label="Find" role="combobox" aria-expanded=${hits.length > 0} aria-controls="found" aria-activedescendant=${hits.length ? `found-${at}` : undefined} autocomplete="off" spellcheck="false" value=${text}
      onInput=${(event) => (setText(event.target.value), setAt(0))} onKeyDown=${key} onBlur=${() => setTimeout(close, 150)} />
    ${!text && html`<kbd aria-hidden="true">/</kbd>`}
    <ul id="found" role="listbox" aria-label="Found" hidden=${!hits.length}>
      ${hits.map(
        ([kind, name, where], index) => html`<li id="found-${index}" role="option" aria-selected=${index === at}><a href=${where} tabindex="-1"><span class="mono">${visible(name)}</span> <small>${kind}</small></a></li>`,
      )}
    </ul>
  </div>`;
}
