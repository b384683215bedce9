/** The supervision tree: an outline, and one line a child that breaks where an incarnation ended. */
import { computed, signal } from "@preact/signals";
import { childPath, get, post } from "../parts/api.js";
import { refresh } from "../parts/feed.js";
import { clock, NONE, span, visible, visibleLines } from "../parts/format.js";
import { toneOfEvent, subjectOf, wordsOf } from "../parts/happened.js";
import { html } from "../parts/html.js";
import { changesOf, livesOf } from "../parts/lives.js";
import { route, to } from "../parts/route.js";
import { toneOf } from "../parts/smalltree.js";
import * as store from "../parts/store.js";
import { ask, copy, Empty, Panel, Segmented, State, useNow } from "../parts/ui.js";

const WINDOWS = [[60, "1 m"], [300, "5 m"], [1200, "20 m"], [3600, "1 h"]];
const LINES = 200;
/** Seconds that the lives show; until it is chosen, as many as there are. */
const chosenWindow = signal(null);
const window = computed(() => chosenWindow.value ?? WINDOWS.find(([length]) => uptime() < length)?.[0] ?? 1200);
const uptime = () => store.overview.value?.uptime ?? 0;
const filter = signal("");
const held = signal(null);

const changes = () => store.events.value.filter(({ topic }) => topic === "tree");

function Lives({ node, now }) {
  const from = now - window.value;
  const x = (at) => ((at - from) / window.value) * 1000;
  const { stretches, ends } = livesOf(node, changes(), Math.max(from, store.began.value ?? from), now);
  const crashes = ends.filter(({ crash }) => crash).length;
  return html`<svg class="lives" viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="${ends.length} ended, ${crashes} by a crash">
    ${stretches.map((each) => html`<rect class=${each.state === "up" ? "up" : "waiting"} x=${x(each.from)} width=${Math.max(1, x(each.to) - x(each.from))} y=${each.state === "up" ? 4 : 7} height=${each.state === "up" ? 8 : 2} />`)}
    ${ends.map((each) => html`<line class=${each.crash ? "" : "calm"} x1=${x(each.at)} x2=${x(each.at)} y1="1" y2="15"><title>${`${clock(each.at, true)} ${each.text}`}</title></line>`)}
  </svg>`;
}

/** Seconds since the current incarnation began; null where that is not known. */
function ageOf(node, now) {
  const started = changesOf(node.path, changes()).filter((each) => each.after === "up").at(-1);
  if (started) return now - started.at;
  return node.restarts || store.began.value === null ? null : now - store.began.value;
}

const kindOf = (node) => node.kind || (node.supervisor ? "supervisor" : NONE);

function Row({ node, rails, now, chosen }) {
  return html`<tr class=${chosen ? "chosen" : ""} data-path=${node.path}>
    <td><span class="rails">${rails.map((each) => (each === " " ? "   " : each === "│" ? "│  " : `${each}─ `)).join("")}</span><${State} tone=${toneOf(node.state)}><a class="mono" data-row href=${to("tree", node.path)} aria-current=${chosen ? "true" : undefined}>${visible(node.id)}</a><//></td>
    <td class=${node.state === "up" ? "soft" : ""}>${node.state}</td>
    <td class="soft optional">${kindOf(node)}</td>
    <td class="right"><b>${node.restarts + 1}</b></td>
    <td class="right">${node.mailbox_depth}</td>
    <td class="right">${node.busy_for ? span(node.busy_for) : NONE}</td>
    <td class="right">${span(ageOf(node, now))}</td>
    <td><${Lives} node=${node} now=${now} /></td>
    <td class="exit soft" title=${node.last_exit}>${visible(node.last_exit ?? NONE)}</td>
  </tr>`;
}

function Outline({ chosen, now }) {
  const tools = html`<${Segmented} label="Time shown" options=${WINDOWS} value=${window.value} onChange=${(next) => (chosenWindow.value = next)} />`;
  const marks = [0, 1, 2, 3].map((at) => clock(now - window.value * (1 - at / 4)).slice(0, window.value >= 300 ? 5 : 8));
  return html`<${Panel} title="Supervision tree" note="every line is a life: it breaks where an incarnation ended" tools=${tools}>
    <div class="scroll" tabindex="0" role="region" aria-label="Supervision tree"><table>
      <thead><tr><th>child</th><th>state</th><th class="optional">kind</th><th class="right">epoch</th><th class="right">mailbox</th><th class="right">busy</th><th class="right">age</th>
        <th><span class="axis mono">${marks.map((each) => html`<span>${each}</span>`)}<span>now</span></span></th><th>last exit</th></tr></thead>
      <tbody data-rows>${store.outline(store.tree.value).map(({ node, rails }) => html`<${Row} key=${node.path} node=${node} rails=${rails} now=${now} chosen=${node === chosen} />`)}</tbody>
    </table></div>
  <//>`;
}

function Events() {
  const all = held.value ?? store.events.value;
  const wanted = filter.value.toLowerCase();
  const lines = all.filter((each) => `${each.subject} ${each.text} ${each.topic}`.toLowerCase().includes(wanted)).slice(-LINES).reverse();
  const tools = html`<input type="search" aria-label="Filter the events" placeholder="path, cause…" value=${filter.value} onInput=${(event) => (filter.value = event.target.value)} />
    <button type="button" aria-pressed=${held.value !== null} onClick=${() => (held.value = held.value ? null : store.events.value)}>${held.value ? "Go on" : "Pause"}</button>`;
  return html`<${Panel} title="Events" note="as they happen" tools=${tools}>
    ${lines.length
      ? html`<div class="tall" tabindex="0" role="region" aria-label="Events"><table><tbody>
          ${lines.map((each) => html`<tr key=${each.sequence}><td class="mono soft tight">${clock(each.at, true)}</td><td class="mono tight">${subjectOf(each)}</td><td class="tight"><${State} tone=${toneOfEvent(each)}>${each.topic === "tree" && typeof each.after === "string" ? each.after : each.level}<//></td><td class="rest">${wordsOf(each)}</td></tr>`)}
        </tbody></table></div>`
      : html`<${Empty}>${all.length ? "None of them matches." : "Nothing has happened yet."}<//>`}
  <//>`;
}

const ABOUT_KILL =
  "Kill cuts it off in the midst of what it does; its supervisor starts it again. It is logged, with who did it.";

function kill(node) {
  ask({
    title: `Kill ${visible(node.id)}?`,
    text: ABOUT_KILL,
    typed: node.path,
    buttons: [{ text: `Kill ${visible(node.id)}`, tone: "danger", run: () => acted(node, "kill", { confirm: node.path }) }],
  });
}

async function acted(node, action, body) {
  await post(childPath(node.path, action), body);
  await refresh();
  return `${node.path}: ${action === "kill" ? "killed" : "restarted"}`;
}

function restart(node) {
  ask({
    title: `Restart ${visible(node.id)}?`,
    text: "It is stopped in its own time and started again, as after a crash.",
    buttons: [{ text: "Restart", tone: "primary", run: () => acted(node, "restart", {}) }],
  });
}

async function stacks() {
  const { threads } = await get("stacks");
  const text = threads.map((each) => `${each.name}\n${each.frames.map((frame) => `    ${frame}`).join("\n")}`).join("\n\n");
  ask({ title: "What every thread does now", wide: true, body: html`<pre class="tall" tabindex="0">${text}</pre>` });
}

function logLevel() {
  const set = (level) => async () => {
    const { before } = await post("log-level", { level });
    return `log level: ${before.level} → ${level}`;
  };
  ask({
    title: "Which lines are logged?",
    text: "Those of this level, and worse; of the whole process, until it ends.",
    buttons: ["debug", "info", "warning", "error"].map((level) => ({ text: level, run: set(level) })),
  });
}

function drainService() {
  const run = async () => {
    await post("service:drain", { confirm: "drain" });
    return "the service drains: it answers what is in flight, and ends";
  };
  ask({
    title: "Drain the service and end the process?",
    text: "New connections are refused, requests on open ones are answered until the drain’s time is over; then it ends, and with it this page.",
    typed: "drain",
    buttons: [{ text: "Drain the service", tone: "danger", run }],
  });
}

function Child({ node, now }) {
  const mine = changesOf(node.path, changes()).filter((each) => each.after === "down").at(-1);
  const why = mine?.text || node.last_exit;
  return html`<div class="stack">
    <${Panel} title=${visible(node.id)} note="incarnation ${node.restarts + 1}" mono>
      <dl class="pad">
        <dt>state</dt><dd><${State} tone=${toneOf(node.state)}>${node.state}${node.busy_for === null ? "" : `, busy for ${span(node.busy_for)}`}<//></dd>
        <dt>path</dt><dd class="mono">${visible(node.path || "/")}</dd>
        <dt>kind</dt><dd>${kindOf(node)}</dd>
        <dt>age</dt><dd>${span(ageOf(node, now))}</dd>
        <dt>restarts</dt><dd>${node.restarts}</dd>
        <dt>mailbox</dt><dd>${node.mailbox_depth} waiting</dd>
        ${node.children.length > 0 && html`<dt>children</dt><dd>${node.children.map((each) => html`<a class="mono" href=${to("tree", each.path)}>${visible(each.id)}</a> `)}</dd>`}
      </dl>
      ${why && html`<header class="why"><span class="note">Why incarnation ${Math.max(1, node.restarts)} ended</span><span class="space" /><span class="mono soft">${mine ? clock(mine.at) : ""}</span></header><pre tabindex="0">${visibleLines(why)}</pre>`}
    <//>
    <${Panel} title="Act" note="needs an operator’s key, where there are keys">
      <div class="pad stack"><span>
        ${node.path && html`<button type="button" onClick=${() => restart(node)}>Restart…</button> <button type="button" class="danger" onClick=${() => kill(node)}>Kill…</button> `}
        ${!node.path && html`<button type="button" onClick=${logLevel}>Log level…</button> <button type="button" class="danger" onClick=${drainService}>Drain…</button> `}
        <button type="button" onClick=${stacks}>Stacks</button> <button type="button" onClick=${() => copy(JSON.stringify(node, null, 2))}>Copy as JSON</button>
      </span>${node.path && html`<p class="soft">${ABOUT_KILL}</p>`}</div>
    <//>
  </div>`;
}

export function Tree() {
  const now = useNow();
  const root = store.tree.value;
  if (!root) return html`<${Empty}>Reading the tree…<//>`;
  const path = route.value.what.join("/");
  const chosen = store.findChild(path);
  return html`<div class="stack"><${Outline} chosen=${chosen ?? root} now=${now} /><${Events} /></div>
    ${chosen ? html`<${Child} node=${chosen} now=${now} />` : html`<${Panel} title=${visible(path)} mono><${Empty}>There is no such child in the tree now.<//><//>`}`;
}
