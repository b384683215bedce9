/** The pieces that every page is made of. */
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

export function Panel({ title, note, tools, children, className = "", mono = false }) {
  return html`<section class="panel ${className}">
    <header><h2 class=${mono ? "mono" : ""}>${title}</h2>${note && html`<span class="note">${note}</span>`}<span class="space" />${tools}</header>
    ${children}
  </section>`;
}

/** A state as a dot and its word: never by colour alone. */
export function State({ tone, children, title }) {
  return html`<span class="state" title=${title}><i class="dot ${tone}" aria-hidden="true" />${children}</span>`;
}

export const Pill = ({ tone = "", children, title }) => html`<span class="pill ${tone}" title=${title}>${children}</span>`;

export function Segmented({ label, options, value, onChange }) {
  return html`<span class="segmented" role="group" aria-label=${label}>
    ${options.map(
      ([key, text]) => html`<button type="button" key=${key} aria-pressed=${key === value} onClick=${() => onChange(key)}>${text}</button>`,
    )}
  </span>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** One figure of a strip: what it is, its value, and its last minutes. `title` names where it comes from. */
export function Figure({ name, value, unit, title, children }) {
  return html`<div class="figure" title=${title}>
    <div class="name">${name}</div>
    <div class="value"><b>${value}</b> <small>${unit}</small></div>
    ${children}
  </div>`;
}

/** The current time in seconds, again each second (or `every` ms), for ages and axes. */
export function useNow(every = 1000) {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && setNow(Date.now() / 1000), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

const toasts = signal([]);
let nextToast = 0;

/** Show one sentence for a while; errors stay longer. */
export function say(text, tone = "green") {
  const id = ++nextToast;
  toasts.value = [...toasts.value, { id, text, tone }].slice(-4);
  setTimeout(() => (toasts.value = toasts.value.filter((each) => each.id !== id)), tone === "red" ? 12000 : 5000);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map((each) => html`<p class="toast" key=${each.id}><${State} tone=${each.tone}>${each.text}<//></p>`)}
  </div>`;
}

/** The dialog that is open: {title, text, body, buttons: [{text, tone, run, enabled}], typed}. */
const dialog = signal(null);

/**
 * Ask before doing. `buttons` are [{text, tone, run}]; with `typed` they work only once that text is typed;
 * with `field` {label, value, type…} `run` gets what was typed in it. `body` is shown as it is.
 */
export function ask(question) {
  dialog.value = question;
}

export function Dialogs() {
  const element = useRef(null);
  const open = dialog.value;
  const [text, setText] = useState("");
  useEffect(() => {
    if (!open) return;
    setText(open.field?.value ?? "");
    element.current.showModal();
  }, [open]);
  if (!open) return null;
  const locked = open.typed !== undefined && text !== open.typed;
  const close = () => element.current.close();
  const run = async (button) => {
    close();
    try {
      const said = await button.run(text);
      if (said) say(said);
    } catch (error) {
      say(error.message, "red");
    }
  };
  const first = open.buttons?.[0];
  const submit = (event) => {
    event.preventDefault();
    if (first && !locked) run(first);
  };
  const field = open.typed === undefined ? open.field : { label: `Type ${open.typed} to go on` };
  return html`<dialog ref=${element} aria-labelledby="asked" class=${open.wide ? "wide" : ""} onClose=${() => (dialog.value = null)}>
    <form onSubmit=${submit}>
      <h2 id="asked">${open.title}</h2>
      ${open.text && html`<p>${open.text}</p>`}
      ${field &&
      html`<label class="field">${field.label}
        <input value=${text} type=${field.type ?? "text"} min=${field.min} max=${field.max} step=${field.step} autocomplete="off" spellcheck="false" onInput=${(event) => setText(event.target.value)} />
      </label>`}
      ${open.body}
      <footer>
        ${(open.buttons ?? []).map(
          (each) => html`<button type="button" class=${each.tone ?? ""} disabled=${locked} onClick=${() => run(each)}>${each.text}</button>`,
        )}
        <button type="button" onClick=${close}>${open.buttons ? "Cancel" : "Close"}</button>
      </footer>
    </form>
  </dialog>`;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("copied");
  } catch {
    say("the browser does not let this page copy", "red");
  }
}
