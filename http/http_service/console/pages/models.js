/** Every model at the left; at the right one of them with its instances, and what can be done with each. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { instancePath, post } from "../parts/api.js";
import { Bar, Spark, Squares } from "../parts/charts.js";
import { refresh, shown } from "../parts/feed.js";
import { clock, count, ms, NONE, plural, rate, span, visible } from "../parts/format.js";
import { Happened } from "../parts/happened.js";
import { html } from "../parts/html.js";
import { route, to } from "../parts/route.js";
import * as store from "../parts/store.js";
import { ask, Empty, Figure, Panel, Pill, useNow } from "../parts/ui.js";

const LISTED = 200;
const DETAILED = 40;
const filter = signal("");

const STATES = {
  serving: "green",
  starting: "blue",
  on_trial: "amber",
  paused: "amber",
  ejected: "red",
  draining: "",
};

function matches(model) {
  const wanted = filter.value.toLowerCase();
  const instances = model.detail?.instances ?? [];
  const text = [model.id, ...model.kinds, ...instances.flatMap((each) => [each.id, each.state, each.endpoint])];
  return text.some((each) => each.toLowerCase().includes(wanted));
}

function ModelsList({ chosen, listed, more }) {
  return html`<${Panel} title="Models" note=${count(store.models.value.length)}>
    <div class="pad"><input class="filter" type="search" aria-label="Filter the models" placeholder="name, kind, state, host…" value=${filter.value} onInput=${(event) => (filter.value = event.target.value)} /></div>
    <ul class="list" data-rows>
      ${listed.map(
        (each) => html`<li key=${each.id}><a data-row href=${to("models", each.id)} aria-current=${each.id === chosen ? "true" : undefined}>
          <span class="mono">${visible(each.id)}</span><span class="right">${each.detail ? html`<${Squares} instances=${each.detail.instances} />` : plural(each.instances, "instance")}</span>
          <small>${each.kinds.join(" · ")} · ${each.inflight} in flight${each.waiting ? ` · ${each.waiting} waiting` : ""}</small><span class="right">${rate(store.last(store.modelSeries(each.id, "requests")))} <small>/s</small></span>
        </a></li>`,
      )}
    </ul>
    ${more > 0 && html`<${Empty}>${plural(more, "more model")}: filter to see them.<//>`}
    ${!listed.length && html`<${Empty}>${store.models.value.length ? "None of them matches." : "No model is known."}<//>`}
    <div class="legend">${Object.keys(STATES).map((state) => html`<span><i class="square ${state}" />${state.replace("_", " ")}</span>`)}</div>
  <//>`;
}

function Figures({ model }) {
  const series = (name) => store.modelSeries(model.id, name).slice(-300);
  const asked = store.sum(series("requests"));
  const failed = store.sum(series("errors"));
  return html`<section class="panel figures" aria-label="Figures of the model">
    <${Figure} name="Requests" value=${rate(store.last(series("requests")))} unit="/s"><${Spark} values=${series("requests")} label="requests a second" /><//>
    <${Figure} name="First token" value=${ms(store.last(series("first_token_p50"), 60))} unit="ms, median"><${Spark} values=${series("first_token_p50")} tone="orange" label="time to the first token" /><//>
    <${Figure} name="Tokens" value=${rate(store.last(series("tokens")))} unit="/s"><${Spark} values=${series("tokens")} label="tokens a second" /><//>
    <${Figure} name="Failed" value=${asked ? count(failed) : NONE} unit="of ${count(asked)} in 5 min"><${Spark} values=${series("errors")} tone="amber" label="errors a second" /><//>
    <${Figure} name="Waiting" value=${count(model.waiting)} unit="for an instance" />
  </section>`;
}

/** What can be done with an instance: its word, what it means, and whether it can be so for all front-ends. */
const DEEDS = {
  drain: ["Drain", "It gets no new requests; those in flight are answered.", true],
  undrain: ["Undrain", "It gets requests again.", true],
  eject: ["Eject", "It is asked only where no other is left, until it is readmitted. Other front-ends go on asking it.", false],
  readmit: ["Readmit", "It is taken back, however it was ejected.", false],
};
const HERE = "“Here” is this front-end alone, and ends with it. “Everywhere” is written to the source, for all front-ends.";

async function acted(instance, model, action, body) {
  await post(instancePath(instance.kind, model.id, instance.id, action), body);
  await refresh();
  return `${instance.id}: ${action} asked${body.everywhere ? " everywhere" : ""}`;
}

function deed(action, instance, model) {
  const [word, text, forAll] = DEEDS[action];
  const run = (body) => () => acted(instance, model, action, body);
  ask({
    title: `${word} ${visible(instance.id)} of ${visible(model.id)}?`,
    text: forAll ? `${text} ${HERE}` : text,
    buttons: [
      { text: forAll ? `${word} here` : word, tone: "primary", run: run({}) },
      ...(forAll ? [{ text: `${word} everywhere`, run: run({ everywhere: true }) }] : []),
    ],
  });
}

function weigh(instance, model) {
  const given = (text) => {
    const weight = Number(text);
    if (text.trim() === "" || !(weight > 0)) throw new Error("a weight is a number above 0");
    return weight;
  };
  const run = (everywhere) => async (text) => acted(instance, model, "weight", { weight: given(text), ...everywhere });
  ask({
    title: `Weight of ${visible(instance.id)}`,
    text: `Its share of the requests beside the others. ${HERE}`,
    field: { label: "Weight", type: "number", min: "0.01", step: "any", value: String(instance.weight) },
    buttons: [
      { text: "Set here", tone: "primary", run: run({}) },
      { text: "Set everywhere", run: run({ everywhere: true }) },
      { text: "As announced", run: () => acted(instance, model, "weight", { weight: null }) },
    ],
  });
}

/** Host and port of an address; an engine of this process has none. */
const placeOf = (endpoint) => /^https?:\/\/([^/]+)/.exec(endpoint)?.[1] ?? "in process";

/** What is set by hand, as words. */
function byHand({ overrides }) {
  return [overrides.drained && "drained", overrides.ejected && "ejected", overrides.weight !== null && `weight ${overrides.weight}`]
    .filter(Boolean)
    .join(", ");
}

function Actions({ instance, model }) {
  const drained = instance.overrides.drained || instance.state === "draining";
  const ejected = instance.overrides.ejected || instance.state === "ejected";
  const button = (action) => html`<button type="button" class="small" aria-label="${DEEDS[action][0]} ${instance.kind} ${instance.id}" onClick=${() => deed(action, instance, model)}>${DEEDS[action][0]}…</button>`;
  return html`${button(drained ? "undrain" : "drain")}<button type="button" class="small" aria-label="Weight of ${instance.kind} ${instance.id}" onClick=${() => weigh(instance, model)}>Weight…</button>${button(ejected ? "readmit" : "eject")}`;
}

function InstanceRow({ instance, model, chosen }) {
  const hand = byHand(instance);
  const breaker = instance.breaker !== "closed" && !["ejected", "on_trial"].includes(instance.state) && ` · breaker ${instance.breaker.replace("_", " ")}`;
  return html`<tr class=${chosen ? "chosen" : ""}>
    <td class="name"><a class="mono" data-row href=${to("models", model.id, instance.kind, instance.id)}>${visible(instance.id)}</a>${model.kinds.length > 1 && html` <small>${instance.kind}</small>`}</td>
    <td class="mono soft place" title=${instance.endpoint}>${visible(placeOf(instance.endpoint))}</td>
    <td><${Pill} tone=${STATES[instance.state]}>${instance.state.replace("_", " ")}<//>${breaker && html`<small>${breaker}</small>`}${hand && html` <small>by hand: ${hand}</small>`}</td>
    <td class="right">${instance.max_concurrency ? html`<${Bar} value=${instance.inflight} most=${instance.max_concurrency} label="in flight" /> ` : ""}${instance.inflight} <small>/ ${instance.max_concurrency ?? "∞"}</small></td>
    <td class="right">${instance.weight}${instance.share < 1 && html` <small>× ${Math.round(instance.share * 100)} %</small>`}</td>
    <td class="right">${ms(instance.first_token)} <small>ms</small></td>
    <td class="right">${count(instance.selections)}</td>
    <td class="right">${count(instance.failures)}</td>
    <td class="name">${visible(instance.last_error ?? NONE)}</td>
    <td class="right">${span(instance.since)}</td>
    <td class="actions"><${Actions} instance=${instance} model=${model} /></td>
  </tr>`;
}

function Instances({ model, chosen }) {
  const tools = html`<a class="button" href=${to("playground", model.id)}>Try it →</a>`;
  const instances = model.detail?.instances ?? [];
  return html`<${Panel} title=${visible(model.id)} note="${model.kinds.join(" · ")} · ${plural(model.instances, "instance")}" tools=${tools} mono>
    <div class="scroll" tabindex="0" role="region" aria-label="Instances"><table class="dense">
      <thead><tr><th>instance</th><th>endpoint</th><th>state</th><th class="right">in flight</th><th class="right">weight</th><th class="right">first token</th><th class="right">given</th><th class="right">failed</th><th>last error</th><th class="right">since</th><th class="right">actions</th></tr></thead>
      <tbody data-rows>${instances.map((each) => html`<${InstanceRow} key=${`${each.kind} ${each.id}`} instance=${each} model=${model} chosen=${each === chosen} />`)}</tbody>
    </table></div>
    ${!instances.length && html`<${Empty}>Reading its instances…<//>`}
  <//>`;
}

/** What happened to one instance, or to the model: its events, and the requests that had to go elsewhere. */
function Story({ model, instance }) {
  const subject = instance && `${instance.kind}/${model.id}/${instance.id}`;
  const mine = store.events.value.filter((each) => (subject ? each.subject === subject : String(each.subject).includes(`/${model.id}/`)));
  const moved = store.requests.value.filter((each) => each.model === model.id && each.attempts > 1 && (!instance || each.instance === instance.id)).slice(0, 8);
  return html`<div class="beside">
    <${Panel} title=${visible(instance?.id ?? model.id)} note="what happened to it" mono>
      ${mine.length ? html`<${Happened} events=${mine.slice(-12).reverse()} />` : html`<${Empty}>Nothing that is kept.<//>`}
    <//>
    <${Panel} title="Moved" note="requests that needed another try">
      ${moved.length
        ? html`<table><tbody>${moved.map((each) => html`<tr><td class="mono soft">${clock(each.at)}</td><td><a class="mono" href=${to("requests", each.id)}>${visible(each.id).slice(0, 12)}</a></td><td class="right">${plural(each.attempts, "try", "tries")}</td><td class="right">${span(each.duration)}</td></tr>`)}</tbody></table>`
        : html`<${Empty}>None of the last ${count(store.requests.value.length)}.<//>`}
    <//>
  </div>`;
}

export function Models() {
  useNow(5000);
  const [id, kind, instanceId] = route.value.what;
  const matching = store.models.value.filter(matches);
  const model = store.models.value.find((each) => each.id === (id ?? matching[0]?.id));
  const ids = [model?.id, ...matching.slice(0, DETAILED).map((each) => each.id)].filter(Boolean).join("\n");
  useEffect(() => {
    shown.value = ids ? [...new Set(ids.split("\n"))] : [];
    if (ids) refresh().catch(() => {}); // the feed says what is wrong
  }, [ids]);
  const chosen = model?.detail?.instances.find((each) => each.kind === kind && each.id === instanceId);
  return html`<${ModelsList} chosen=${model?.id} listed=${matching.slice(0, LISTED)} more=${matching.length - LISTED} />
    <div class="stack">
      ${model
        ? html`<${Figures} model=${model} /><${Instances} model=${model} chosen=${chosen} /><${Story} model=${model} instance=${chosen} />`
        : html`<${Panel} title=${visible(id ?? "No model")} mono><${Empty}>${store.overview.value ? "It is not served here now." : "Reading the models…"}<//><//>`}
    </div>`;
}
