/** The whole front-end on one page. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../parts/api.js";
import { Bar, Spark, Squares } from "../parts/charts.js";
import { shown } from "../parts/feed.js";
import { clock, count, mib, ms, NONE, percent, plural, rate, span, visible } from "../parts/format.js";
import { Happened, subjectOf, toneOfEvent, wordsOf } from "../parts/happened.js";
import { html } from "../parts/html.js";
import { to } from "../parts/route.js";
import { SmallTree } from "../parts/smalltree.js";
import * as store from "../parts/store.js";
import { bands, TONES, Traffic } from "../parts/traffic.js";
import { Empty, Figure, Panel, Pill, Segmented, State } from "../parts/ui.js";

const WINDOWS = [[60, "1 m"], [300, "5 m"], [1200, "20 m"]];
const LISTED = 8;
const MARKS = 12;

const window = signal(300);
/** The second that is pointed at in the traffic, counted from the end; null without one. */
const pointed = signal(null);
const config = signal(null);

function Figures() {
  const { last, sum, totals, overview } = store;
  const cut = (name) => totals(name).slice(-window.value);
  const asked = sum(cut("requests"));
  const failed = sum(cut("errors"));
  const answered = cut("requests").map((each, at) => (each ? 1 - (cut("errors")[at] ?? 0) / each : null));
  const seenNow = overview.value;
  const restarts = restartsOver(window.value);
  return html`<section class="panel whole figures" aria-label="Figures">
    <${Figure} name="Requests" value=${rate(last(cut("requests")))} unit="/s" title="series requests"><${Spark} values=${cut("requests")} label="requests a second" /><//>
    <${Figure} name="Answered" value=${asked ? percent(1 - failed / asked, failed ? 2 : 0) : NONE} unit="%" title="series errors beside requests"><${Spark} values=${answered} tone="green" low=${0} label="share of requests answered" /><//>
    <${Figure} name="First token" value=${ms(last(cut("first_token_p50"), 10))} unit="/ ${ms(last(cut("first_token_p99"), 10))} ms" title="series first_token_p50 and first_token_p99"><${Spark} values=${cut("first_token_p50")} tone="orange" label="time to the first token, median" /><//>
    <${Figure} name="Tokens" value=${rate(last(cut("tokens")))} unit="/s" title="series tokens"><${Spark} values=${cut("tokens")} label="tokens a second" /><//>
    <${Figure} name="In flight" value=${count(seenNow && (last(cut("inflight")) ?? seenNow.inflight_requests))} unit="on ${plural(seenNow?.connections, "connection")}" title="series inflight and connections"><${Spark} values=${cut("inflight")} tone="purple" label="requests in flight" /><//>
    <${Figure} name="Restarts" value=${count(seenNow?.restarts)} unit="since the start" title="restarts of the whole tree"><${Spark} values=${restarts} tone="amber" label="restarts over time" /><//>
    <${Figure} name="Process" value=${percent(last(cut("cpu")))} unit="% CPU · ${mib(last(cut("memory")))} MiB" title="series cpu (of one core) and memory"><${Spark} values=${cut("cpu")} tone="purple" label="share of a core" /><//>
    <${Figure} name="Loop lag" value=${ms(last(cut("loop_lag")))} unit="ms" title="series loop_lag: how late the event loop's timers are"><${Spark} values=${cut("loop_lag")} tone="orange" label="lateness of the event loop" /><//>
  </section>`;
}

/** How many incarnations began in each of 60 parts of the last `length` seconds. */
function restartsOver(length) {
  const now = store.series.value?.end ?? Date.now() / 1000;
  const parts = new Array(60).fill(0);
  for (const each of store.events.value) {
    const at = Math.floor(((each.at - (now - length)) / length) * 60);
    if (each.topic === "tree" && each.after === "up" && each.text !== "started" && at >= 0 && at < 60) parts[at]++;
  }
  return parts;
}

function marks() {
  return store.events.value
    .filter(({ level, topic }) => level !== "info" || topic === "admin")
    .slice(-MARKS)
    .map((each) => ({ at: each.at, text: shortOf(each), tone: toneOfEvent(each) }));
}

/** An event in two or three words: what it is about, and its first ones. */
const shortOf = (event) => `${subjectOf(event).split("/").at(-1)} ${wordsOf(event).split(/:| for /)[0]}`.slice(0, 32);

function TrafficPanel() {
  const shownBands = bands(window.value);
  const at = pointed.value;
  const when = at === null ? "by model" : `at ${clock(store.series.value.end + (at + 1) * store.series.value.step)}`;
  const tools = html`${shownBands.map(({ name, values }, number) => html`<span class="key-colour ${TONES[number]}"> <span class="mono soft">${visible(name).slice(0, 28)}</span>${at !== null && html` <b class="plain">${rate(values.at(at))}</b>`}</span>`)}
    <${Segmented} label="Time shown" options=${WINDOWS} value=${window.value} onChange=${(next) => (window.value = next)} />`;
  return html`<${Panel} className="wide" title="Traffic" note="requests a second ${when}" tools=${tools}>
    ${store.series.value && html`<${Traffic} shown=${shownBands} marks=${marks()} onPoint=${(next) => (pointed.value = next)} />`}
  <//>`;
}

function TreePanel() {
  const root = store.tree.value;
  const rows = store.outline(root).slice(1).map(({ node }) => node);
  const supervisors = rows.filter(({ supervisor }) => supervisor).length + 1;
  return html`<${Panel} className="third" title="Tree" note="${plural(rows.length - supervisors + 1, "actor")}, ${plural(supervisors, "supervisor")}" tools=${html`<a href=${to("tree")}>open →</a>`}>
    ${root && html`<div class="pad"><${SmallTree} root=${root} /></div>`}
  <//>`;
}

function ModelRow({ model }) {
  const instances = model.detail?.instances ?? [];
  const most = instances.reduce((all, each) => (each.max_concurrency === null ? null : all === null ? null : all + each.max_concurrency), 0);
  const series = (name) => store.modelSeries(model.id, name).slice(-window.value);
  const errors = store.sum(series("errors"));
  return html`<tr>
    <td class="name"><a class="mono" data-row href=${to("models", model.id)}>${visible(model.id)}</a> <small>${model.kinds.join(" · ")}</small></td>
    <td>${instances.length ? html`<${Squares} instances=${instances} />` : html`${model.serving} of ${model.instances} serving`}</td>
    <td class="right">${rate(store.last(series("requests")))}</td>
    <td class="optional"><${Spark} values=${series("requests")} label="requests a second of ${model.id}" /></td>
    <td class="right">${ms(store.last(series("first_token_p50"), 30))} <small>ms</small></td>
    <td class="right optional">${rate(store.last(series("tokens")))}</td>
    <td class="right">${most ? html`<${Bar} value=${model.inflight} most=${most} label="in flight" /> ` : ""}${model.inflight} <small>/ ${most || "∞"}</small></td>
    <td class="right">${model.waiting ? html`<${Pill} tone="amber">${model.waiting} waiting<//>` : html`<span class="soft">0</span>`}</td>
    <td class="right">${errors ? html`<${Pill} tone="red">${count(errors)} failed<//>` : html`<span class="soft">0</span>`}</td>
  </tr>`;
}

function ModelsPanel() {
  const listed = store.models.value.slice(0, LISTED);
  const ids = listed.map(({ id }) => id).join("\n");
  useEffect(() => {
    shown.value = ids ? ids.split("\n") : [];
  }, [ids]);
  return html`<${Panel} className="wide" title="Models" note="${count(store.models.value.length)} known, busiest first" tools=${html`<a href=${to("models")}>all models →</a>`}>
    <div class="scroll" tabindex="0" role="region" aria-label="Busiest models"><table>
      <thead><tr><th>model</th><th>instances</th><th class="right">req/s</th><th class="optional"><span class="unseen">requests over time</span></th><th class="right">first token</th><th class="right optional">tok/s</th><th class="right">in flight</th><th class="right">waiting</th><th class="right">errors</th></tr></thead>
      <tbody data-rows>${listed.map((model) => html`<${ModelRow} key=${model.id} model=${model} />`)}</tbody>
    </table></div>
    ${!listed.length && store.overview.value && html`<${Empty}>No model is known. Announce one: <code>callboard worker --model NAME --url http://HOST:PORT/v1</code><//>`}
  <//>`;
}

function EventsPanel() {
  const last = store.events.value.filter(({ after }) => after !== "restarting").slice(-9).reverse();
  return html`<${Panel} className="third" title="What happened" note=${store.link.value === "live" ? "live" : "looked at again and again"} tools=${html`<a href=${to("tree")}>all events →</a>`}>
    ${last.length ? html`<${Happened} events=${last} />` : html`<${Empty}>Nothing yet.<//>`}
  <//>`;
}

function SourceRow({ source }) {
  const { synced, stale_since: stale, entries, lag, revision, quarantined_count: bad, quarantined, last_error: problem } = source.details;
  const [tone, word] = !source.ready ? ["red", "not ready"] : stale ? ["amber", `stale for ${span(Date.now() / 1000 - stale)}`] : ["green", synced ? "in sync" : "ready"];
  const why = source.reason ?? problem;
  return html`<tr>
    <td class="mono">${visible(source.details.source ?? source.name)}</td>
    <td><${State} tone=${tone}>${word}<//>${why && html` <small>${visible(why)}</small>`}</td>
    <td class="right" title="revision ${revision}">${count(entries)}</td><td class="right">${span(lag)}</td>
    <td class="right">${bad ? html`<${Pill} tone="red" title=${Object.entries(quarantined).map((each) => each.join(": ")).join("\n")}>${bad} bad<//>` : html`<span class="soft">${count(bad)}</span>`}</td>
  </tr>`;
}

function SourcesPanel() {
  const list = store.sources.value ?? [];
  return html`<${Panel} className="third" title="Discovery" note="sources and key files">
    ${list.length > 0 &&
    html`<div class="scroll" tabindex="0" role="region" aria-label="Sources"><table><thead><tr><th>source</th><th>state</th><th class="right">entries</th><th class="right">lag</th><th class="right">quarantined</th></tr></thead>
      <tbody>${list.map((each) => html`<${SourceRow} key=${each.name} source=${each} />`)}</tbody></table></div>`}
    ${!list.length && html`<${Empty}>Nothing is discovered: the models were given at the start.<//>`}
  <//>`;
}

function ProcessesPanel() {
  const list = store.processes.value ?? [];
  return html`<${Panel} className="third" title="Processes" note="behind this address">
    ${list.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label="Processes"><table><thead><tr><th>process</th><th class="right">age</th><th class="right">CPU</th><th class="right">memory</th><th class="right">threads</th><th class="right">files</th></tr></thead>
          <tbody>${list.map((each) => html`<tr><td class="mono">${each.process}</td><td class="right">${span(each.uptime)}</td><td class="right">${percent(each.cpu)} <small>%</small></td><td class="right">${mib(each.memory)} <small>MiB</small></td><td class="right">${count(each.threads)}</td><td class="right">${count(each.files)}</td></tr>`)}</tbody></table></div>`}
  <//>`;
}

/** What has an end: [name, used, of how many, as words]. */
function limits() {
  const found = [];
  for (const each of store.processes.value ?? []) {
    if (each.file_limit) found.push(["open files", each.files, each.file_limit, `${count(each.files)} / ${count(each.file_limit)}`]);
  }
  const most = Number(config.value?.find(({ name }) => name === "connection_limit")?.value);
  const open = store.overview.value?.connections;
  if (most && open !== undefined) found.push(["connections", open, most, `${count(open)} / ${count(most)}`]);
  const instances = Object.values(store.details.value).flatMap((each) => each.instances);
  const bounded = instances.filter((each) => each.max_concurrency !== null);
  if (bounded.length) {
    const slots = bounded.reduce((all, each) => all + each.max_concurrency, 0);
    const used = bounded.reduce((all, each) => all + each.inflight, 0);
    found.push(["slots at instances", used, slots, `${count(used)} / ${count(slots)}`]);
  }
  const cpu = store.last(store.totals("cpu"));
  if (cpu !== null) found.push(["one core", cpu, 1, `${percent(cpu)} %`]);
  return found.sort((a, b) => b[1] / b[2] - a[1] / a[2]);
}

function LimitsPanel() {
  useEffect(() => {
    if (config.value === null) get("config").then((found) => (config.value = found.settings), () => {}); // the feed says what is wrong
  }, []);
  const found = limits();
  return html`<${Panel} className="third" title="Limits" note="what would give out first">
    ${found.length
      ? html`<div class="scroll" tabindex="0" role="region" aria-label="Limits"><table><tbody>${found.map(([name, used, most, words]) => html`<tr><td>${name}</td><td class="right">${words}</td><td class="right"><${Bar} value=${used} most=${most} label=${name} /></td></tr>`)}</tbody></table></div>`
      : html`<${Empty}>None is known here.<//>`}
  <//>`;
}

export function Overview() {
  return html`<${Figures} /><${TrafficPanel} /><${TreePanel} /><${ModelsPanel} /><${EventsPanel} /><${SourcesPanel} /><${ProcessesPanel} /><${LimitsPanel} />`;
}
