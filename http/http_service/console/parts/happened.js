/** Events as lines: when, how grave, of what, and what happened. */
import { clock, visible } from "./format.js";
import { html } from "./html.js";
import { State } from "./ui.js";

const TONES = { info: "blue", warning: "amber", error: "red" };

/** Green where something came back, else by its level. */
export const toneOfEvent = (event) =>
  event.level === "info" && event.after === "up" ? "green" : (TONES[event.level] ?? "grey");

/** The short name of what an event is about. */
export const subjectOf = (event) => visible(event.subject ?? event.topic);

const plain = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** The words of an event: its text, and what changed where that is not in it. */
export function wordsOf(event) {
  const change = event.topic === "admin" && event.after ? `: ${plain(event.before)} → ${plain(event.after)}` : "";
  const by = event.by ? ` (${event.by})` : "";
  return visible(`${event.text ?? ""}${change}${by}`);
}

export function Happened({ events }) {
  return html`<div class="happened">
    ${events.map(
      (each) => html`<time class="mono soft">${clock(each.at)}</time>
        <${State} tone=${toneOfEvent(each)}><span><b>${subjectOf(each)}</b> <span class="unseen">${each.level}</span>${wordsOf(each)}</span><//>`,
    )}
  </div>`;
}
