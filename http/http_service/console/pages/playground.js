/** Ask one to three models the same, side by side, and see how fast each answers. */
import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Barcode } from "../parts/charts.js";
import { bodyOf, measures, pane, send, stop } from "../parts/chat.js";
import { LANGUAGES } from "../parts/code.js";
import { clock, count, ms, NONE, visible } from "../parts/format.js";
import { forget, history, keep, recall } from "../parts/history.js";
import { html } from "../parts/html.js";
import { markdown } from "../parts/markdown.js";
import { route } from "../parts/route.js";
import { models } from "../parts/store.js";
import { ask, copy, Empty, Figure, Panel, Segmented, State } from "../parts/ui.js";

const MOST = 3;
const TONES = ["blue", "orange", "olive"];
const panes = signal([]);
const settings = signal({ temperature: "0.2", top_p: "", max_tokens: "256", seed: "", stream: true, system: "" });
const question = signal("");
const language = signal("curl");

const chatModels = computed(() => models.value.filter(({ kinds }) => kinds.includes("chat")).map(({ id }) => id));
const STATES = { idle: ["", "idle"], waiting: ["amber", "waiting"], writing: ["green", "writing"], done: ["green", "done"], stopped: ["amber", "stopped"], failed: ["red", "failed"] };
const busy = (one) => ["waiting", "writing"].includes(one.state.value);

function Answer({ one }) {
  const end = useRef(null);
  const talk = one.talk.value;
  useEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [talk]);
  return html`<div class="talk" tabindex="0" role="log" aria-label="Conversation with ${visible(one.model.value)}">
    ${talk.map((each, at) =>
      each.role === "user"
        ? html`<p class="said"><b>You</b>  ${each.content}</p>`
        : html`<div class="answer">${markdown(each.content)}${at === talk.length - 1 && busy(one) && html`<span class="caret" aria-hidden="true" />`}</div>`,
    )}
    ${!talk.length && html`<p class="soft">What it answers comes here, with its speed above: a stroke for each token, so that a stall is a gap.</p>`}
    ${one.problem.value && html`<p role="alert"><${State} tone="red">${visible(one.problem.value)}<//></p>`}
    <span ref=${end} />
  </div>`;
}

function Pane({ one, at }) {
  const { first, speed, tokens, gap } = measures(one.stats.value);
  const { times, finish, ended } = one.stats.value;
  const [tone, word] = STATES[one.state.value];
  const choice = chatModels.value.includes(one.model.value) ? chatModels.value : [one.model.value, ...chatModels.value];
  const again = () => send(one, null, settings.value);
  return html`<section class="panel pane" aria-label="Pane ${at + 1}">
    <header>
      <select aria-label="Model of pane ${at + 1}" value=${one.model.value} onChange=${(event) => (one.model.value = event.target.value)}>${choice.map((id) => html`<option value=${id}>${visible(id)}</option>`)}</select>
      <span class="space" /><${State} tone=${tone}>${word}${finish ? `: ${finish}` : ""}<//>
      ${busy(one)
        ? html`<button type="button" onClick=${() => stop(one)}>Stop</button>`
        : html`<button type="button" disabled=${!one.talk.value.length} onClick=${again}>Again</button>`}
      ${panes.value.length > 1 && html`<button type="button" class="icon" aria-label="Close pane ${at + 1}" onClick=${() => (stop(one), (panes.value = panes.value.filter((each) => each !== one)))}>×</button>`}
    </header>
    <div class="figures">
      <${Figure} name="first token" value=${ms(first)} unit="ms" /><${Figure} name="speed" value=${speed === null ? NONE : speed.toFixed(1)} unit="tok/s" />
      <${Figure} name="tokens" value=${times.length || tokens ? count(tokens) : NONE} unit="" /><${Figure} name="gap p99" value=${ms(gap)} unit="ms" />
    </div>
    ${times.length > 0 && html`<${Barcode} times=${times} from=${0} to=${ended ?? times.at(-1)} tone=${TONES[at]} />`}
    <${Answer} one=${one} />
  </section>`;
}

function set(name, value) {
  settings.value = { ...settings.value, [name]: value };
}

function Numbered({ name, min, max, step }) {
  return html`<label class="row">${name}<input type="number" min=${min} max=${max} step=${step} placeholder="its own" value=${settings.value[name]} onInput=${(event) => set(name, event.target.value)} /></label>`;
}

function Settings() {
  return html`<${Panel} title="Settings" note=${panes.value.length > 1 ? "for all panes" : ""}>
    <div class="settings">
      <${Numbered} name="temperature" min="0" max="2" step="0.1" /><${Numbered} name="top_p" min="0" max="1" step="0.05" />
      <${Numbered} name="max_tokens" min="1" step="1" /><${Numbered} name="seed" step="1" />
      <label class="row">stream<input type="checkbox" checked=${settings.value.stream} onChange=${(event) => set("stream", event.target.checked)} /></label>
      <label class="field">system<textarea rows="2" value=${settings.value.system} onInput=${(event) => set("system", event.target.value)} /></label>
    </div>
  <//>`;
}

function AsCode({ one }) {
  const talk = one.talk.value.filter(({ content }) => content);
  const asked = question.value ? [...talk, { role: "user", content: question.value }] : talk.at(-1)?.role === "assistant" ? talk.slice(0, -1) : talk;
  const text = LANGUAGES[language.value](location.origin, bodyOf(one.model.value, asked, settings.value));
  const options = [["curl", "curl"], ["python", "Python"], ["js", "JS"]];
  return html`<${Panel} title="As code" tools=${html`<button type="button" onClick=${() => copy(text)}>Copy</button>`}>
    <div class="pad"><${Segmented} label="Language" options=${options} value=${language.value} onChange=${(next) => (language.value = next)} /></div>
    <pre class="code" tabindex="0">${text}</pre>
  <//>`;
}

function Raw() {
  const one = panes.value.find((each) => each.raw.value.length) ?? panes.value[0];
  const lines = one.raw.value;
  return html`<${Panel} title="Raw events" note=${lines.length ? count(lines.length) : ""} tools=${html`<button type="button" disabled=${!lines.length} onClick=${() => copy(lines.join("\n"))}>Copy</button>`}>
    ${lines.length ? html`<pre tabindex="0">${lines.slice(-6).join("\n")}</pre>` : html`<${Empty}>None yet.<//>`}
  <//>`;
}

function History() {
  const clear = () => ask({ title: "Forget what was asked?", text: "It is kept in this browser only.", buttons: [{ text: "Forget", tone: "danger", run: async () => (await forget(), "forgotten") }] });
  if (!history.value.length) return null;
  return html`<${Panel} title="Asked before" note="kept in this browser only" tools=${html`<button type="button" onClick=${clear}>Forget…</button>`}>
    <ul class="list">${history.value.slice(0, 8).map((each) => html`<li><a href="#/playground" onClick=${(event) => (event.preventDefault(), (question.value = each.question))}><span>${visible(each.question).slice(0, 60)}</span><small>${clock(each.at).slice(0, 5)}</small></a></li>`)}</ul>
  <//>`;
}

function askAll() {
  const text = question.value.trim();
  if (!text) return;
  question.value = "";
  keep({ question: text, at: Date.now() / 1000, models: panes.value.map((each) => each.model.value) });
  for (const one of panes.value) send(one, text, settings.value);
}

function Prompt() {
  const key = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      askAll();
    } else if (event.key === "Escape") panes.value.forEach(stop);
  };
  const add = () => {
    const used = panes.value.map((each) => each.model.value);
    const next = chatModels.value.find((id) => !used.includes(id)) ?? used[0];
    panes.value = [...panes.value, pane(next)];
  };
  const whom = ["Ask…", "Ask both…", "Ask all three…"][panes.value.length - 1];
  return html`<div class="panel prompt">
    <textarea id="question" rows="1" aria-label="Question" placeholder="${whom}  (Enter sends, Shift+Enter is a new line)" value=${question.value} onInput=${(event) => (question.value = event.target.value)} onKeyDown=${key} />
    <button type="button" class="primary" disabled=${!question.value.trim()} onClick=${askAll}>Send</button>
    <button type="button" disabled=${panes.value.length >= MOST} onClick=${add}>+ model</button>
  </div>`;
}

/** One pane of the model that the link names, else of the first that chats. */
function begin() {
  const [wanted] = route.value.what;
  const known = chatModels.value;
  if (!panes.value.length && (wanted || known.length)) panes.value = [pane(wanted ?? known[0])];
  else if (wanted && panes.value.length && !panes.value.some((each) => each.model.value === wanted)) panes.value[0].model.value = wanted;
}

export function Playground() {
  useEffect(() => void recall(), []);
  useEffect(begin, [route.value, chatModels.value.length]);
  if (!panes.value.length) return html`<${Empty}>${models.value.length ? "No model here chats." : "No model is known yet."}<//>`;
  return html`<div class="stack"><div class="panes">${panes.value.map((one, at) => html`<${Pane} key=${at} one=${one} at=${at} />`)}</div><${Prompt} /></div>
    <div class="stack"><${Settings} /><${AsCode} one=${panes.value[0]} /><${Raw} /><${History} /></div>`;
}
