/** The last requests, live; one of them as a waterfall, its tokens as a bar code in which a stall is a gap. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../parts/api.js";
import { Barcode } from "../parts/charts.js";
import { clock, count, ms, NONE, plural, span, visible } from "../parts/format.js";
import { html } from "../parts/html.js";
import { FIELDS, matcher } from "../parts/query.js";
import { route, to } from "../parts/route.js";
import * as store from "../parts/store.js";
import { copy, Empty, Panel, Pill, Segmented } from "../parts/ui.js";

const LINES = 60;
const VIEWS = [["live", "Live"], ["slowest", "Slowest"], ["errors", "Errors"], ["moved", "Moved"]];
const view = signal("live");
const query = signal("");
const held = signal(null);
/** The chosen request, with its phases, or the sentence that says why not. */
const detail = signal(null);

const CHOICE = {
  live: (rows) => rows,
  slowest: (rows) => [...rows].sort((a, b) => b.duration - a.duration),
  errors: (rows) => rows.filter((each) => each.status >= 400),
  moved: (rows) => rows.filter((each) => each.attempts > 1),
};

const toneOf = (status) => (status >= 500 ? "red" : status >= 400 ? "amber" : "green");

function Split({ row, most }) {
  const first = row.first_token ?? 0;
  const scale = 100 / Math.max(most, 1e-9);
  const label = row.first_token === null ? span(row.duration) : `first token after ${span(row.first_token)} of ${span(row.duration)}`;
  return html`<svg class="split" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=${label}>
    <rect class="first" width=${first * scale} height="8" /><rect class="rest" x=${first * scale} width=${Math.max(0, row.duration - first) * scale} height="8" />
  </svg>`;
}

function Row({ row, most, chosen }) {
  return html`<tr class=${chosen ? "chosen" : ""}>
    <td class="mono soft">${clock(row.at, true)}</td>
    <td class="name"><a class="mono" data-row href=${to("requests", row.id)} title=${row.id}>${visible(row.id).slice(0, 12)}</a></td>
    <td class="mono name">${visible(row.model ?? NONE)}</td>
    <td class="soft optional">${row.kind ?? row.endpoint}${row.stream ? ", stream" : ""}</td>
    <td><${Pill} tone=${toneOf(row.status)} title=${row.outcome}>${row.status} ${row.outcome}<//></td>
    <td class="mono name">${visible(row.instance ?? NONE)}${row.attempts > 1 && html` <small>${plural(row.attempts, "try", "tries")}</small>`}</td>
    <td class="right">${ms(row.first_token)}</td>
    <td class="right">${ms(row.duration)}</td>
    <td class="right optional">${count(row.input_tokens)} / ${count(row.output_tokens)}</td>
    <td><${Split} row=${row} most=${most} /></td>
  </tr>`;
}

function List({ chosen }) {
  const all = held.value ?? store.requests.value;
  const rows = CHOICE[view.value](all.filter(matcher(query.value)));
  const lines = rows.slice(0, LINES);
  const most = Math.max(...lines.map((each) => each.duration));
  const note = `${store.link.value}: ${count(rows.length)} of the last ${count(all.length)}${rows.length > LINES ? `, ${LINES} shown` : ""}; bodies are never kept`;
  const tools = html`<${Segmented} label="Which" options=${VIEWS} value=${view.value} onChange=${(next) => (view.value = next)} />
    <button type="button" aria-pressed=${held.value !== null} onClick=${() => (held.value = held.value ? null : store.requests.value)}>${held.value ? "Go on" : "Pause"}</button>`;
  return html`<${Panel} title="Requests" note=${note} tools=${tools}>
    <div class="pad"><input class="filter mono" type="search" aria-label="Filter the requests" placeholder="model:llama status:5xx attempts:>1 duration:>500ms — or any word" title="fields: ${FIELDS.join(", ")}" value=${query.value} onInput=${(event) => (query.value = event.target.value)} /></div>
    ${lines.length
      ? html`<div class="tall" tabindex="0" role="region" aria-label="Requests"><table>
          <thead><tr><th>time</th><th>request</th><th>model</th><th class="optional">kind</th><th>status</th><th>instance</th><th class="right">first token ms</th><th class="right">whole ms</th><th class="right optional">tokens in / out</th><th>to the first token, and on</th></tr></thead>
          <tbody data-rows>${lines.map((row) => html`<${Row} key=${row.sequence} row=${row} most=${most} chosen=${row.id === chosen} />`)}</tbody>
        </table></div>`
      : html`<${Empty}>${all.length ? "None of them matches." : "No request yet."}<//>`}
  <//>`;
}

/** What is left of `whole` without the `tries`, which may overlap: Callboard's own time. */
function ownTime(tries, whole) {
  let end = 0;
  let others = 0;
  for (const each of [...tries].sort((a, b) => a.start - b.start)) {
    const from = Math.max(end, each.start);
    const till = Math.max(from, each.end ?? whole);
    others += till - from;
    end = Math.max(end, till);
  }
  return Math.max(0, whole - others);
}

function Lane({ name, from, till, whole, tone = "", words }) {
  const x = (from / whole) * 100;
  const width = Math.max(0.3, ((till - from) / whole) * 100);
  const right = x + width > 70;
  return html`<span>${name}</span><svg class="lane" role="img" aria-label="${name}: ${words}">
    <rect class=${tone} x="${x}%" width="${width}%" y="2" height="14" rx="2" />
    <text class=${right ? "inside" : ""} x="${x + width}%" dx=${right ? -6 : 6} y="13" text-anchor=${right ? "end" : "start"}>${words}</text>
  </svg>`;
}

function longestGap(tokens) {
  let found = { gap: 0, at: 0 };
  for (let at = 1; at < tokens.length; at++) {
    const gap = tokens[at] - tokens[at - 1];
    if (gap > found.gap) found = { gap, at };
  }
  return found;
}

/** Phases that are the instances' own, and shown as their attempts. */
const THEIRS = new Set(["instance", "tokens"]);

function Waterfall({ row }) {
  const whole = Math.max(row.duration, 1e-6);
  const { phases = [], tries = [], tokens } = row;
  const gap = tokens?.length > 1 ? longestGap(tokens) : null;
  const failed = tries.filter((each) => each.error);
  return html`<div class="lanes">
      ${phases.filter(({ name }) => !THEIRS.has(name)).map((each) => html`<${Lane} name=${visible(each.name)} from=${each.start} till=${each.end} whole=${whole} tone="ours" words=${span(each.end - each.start)} />`)}
      ${tries.map((each, at) => html`<${Lane} name="attempt ${at + 1} · ${visible(each.instance)}" from=${each.start} till=${each.end ?? whole} whole=${whole} tone=${each.error ? "failed" : ""} words=${each.error ? visible(each.error) : span((each.end ?? whole) - each.start)} />`)}
      ${tries.filter((each) => each.first_token !== null && each.first_token !== undefined).map((each) => html`<${Lane} name="first token" from=${each.start} till=${each.first_token} whole=${whole} tone="first" words=${span(each.first_token)} />`)}
      ${tokens && html`<span>tokens</span><${Barcode} times=${tokens} from=${0} to=${whole} />`}
    </div>
    <p class="pad soft">Callboard itself: <b>${span(ownTime(tries, whole))}</b> of ${span(whole)}${failed.length > 0 && ` · ${plural(failed.length, "failed try", "failed tries")} cost ${span(failed.reduce((all, each) => all + (each.end - each.start), 0))}`}${gap && ` · longest gap between tokens ${span(gap.gap)}, at token ${gap.at + 1}`}${!tokens && row.stream ? " · when its tokens came was not kept: that is kept while this page is open, else for one request in 64" : ""}</p>`;
}

function Context({ row }) {
  const rows = [
    ["id", row.id],
    ["endpoint", row.endpoint],
    ["model", row.model],
    ["kind", row.kind],
    ["instance", row.instance],
    ["attempts", row.attempts],
    ["outcome", row.outcome],
    ["tokens", `${count(row.input_tokens)} in · ${count(row.output_tokens)} out`],
    ["speed", row.output_tokens && row.first_token !== null && row.duration > row.first_token ? `${((row.output_tokens - 1) / (row.duration - row.first_token)).toFixed(1)} tok/s` : NONE],
  ];
  const tools = html`<button type="button" onClick=${() => copy(JSON.stringify(row, null, 2))}>Copy as JSON</button>`;
  return html`<${Panel} title="Context" tools=${tools}><dl class="pad">${rows.map(([name, value]) => html`<dt>${name}</dt><dd class="mono">${visible(value ?? NONE)}</dd>`)}</dl><//>`;
}

function Detail({ id }) {
  useEffect(() => {
    let current = true;
    detail.value = null;
    get(`requests/${encodeURIComponent(id)}`).then(
      (found) => current && (detail.value = found),
      (error) => current && (detail.value = { error: error.message }),
    );
    return () => {
      current = false;
    };
  }, [id]);
  const row = detail.value;
  if (!row) return html`<${Empty}>Reading it…<//>`;
  if (row.error) return html`<${Panel} title=${visible(id)} mono><${Empty}>${row.error}<//><//>`;
  const tools = row.model && html`<a href=${to("playground", row.model)}>To the playground →</a>`;
  return html`<div class="beside">
    <${Panel} title=${visible(row.id)} note="from the first byte to the last" tools=${tools} mono><${Waterfall} row=${row} /><//>
    <${Context} row=${row} />
  </div>`;
}

export function Requests() {
  const id = route.value.what.join("/");
  return html`<div class="stack"><${List} chosen=${id} />${id && html`<${Detail} id=${id} />`}</div>`;
}
