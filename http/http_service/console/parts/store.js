/** What the pages show, as signals; `parts/feed.js` fills them. Nothing in here is made up: null is unknown. */
import { computed, signal } from "@preact/signals";

export const RING = 1200;
const EVENTS = 1000;
const REQUESTS = 2000;

/** How the page hears of changes: connecting, live (the stream), polling, or lost. */
export const link = signal("connecting");
/** Why it is lost, as a sentence. */
export const trouble = signal("");

export const overview = signal(null);
/** When the process began, in Unix time; the children of the tree that never ended began then. */
export const began = signal(null);
export const tree = signal(null);
export const sources = signal(null);
export const processes = signal(null);
/** {step, end, series: {name: [..]}, models: {id: {name: [..]}}}, at most RING values each. */
export const series = signal(null);
export const events = signal([]);
/** Newest first. */
export const requests = signal([]);
/** One line a model and kind, as the service lists them. */
export const summaries = signal([]);
/** ModelDetail by id. */
export const details = signal({});

/** Every model once: {id, kinds, instances, serving, inflight, waiting, detail}; busiest first. */
export const models = computed(() => {
  const found = new Map();
  for (const each of summaries.value) {
    const one = found.get(each.id);
    if (!one) found.set(each.id, { ...each, kinds: [each.kind], detail: details.value[each.id] ?? null });
    else {
      one.kinds.push(each.kind);
      for (const name of ["instances", "serving", "inflight", "waiting"]) one[name] += each[name];
    }
  }
  const rates = (id) => last(modelSeries(id, "requests")) ?? 0;
  return [...found.values()].sort((a, b) => rates(b.id) - rates(a.id) || b.inflight - a.inflight);
});

export const modelSeries = (id, name) => series.value?.models?.[id]?.[name] ?? [];
export const totals = (name) => series.value?.series?.[name] ?? [];

/** The newest observed value of the last `within`, else null. */
export function last(values, within = 5) {
  for (let at = values.length - 1; at >= Math.max(0, values.length - within); at--) {
    if (values[at] !== null && values[at] !== undefined) return values[at];
  }
  return null;
}

export const sum = (values) => values.reduce((all, each) => all + (each ?? 0), 0);

function grown(values, value, before) {
  const padded = values ?? new Array(before).fill(null);
  return [...padded, value ?? null].slice(-RING);
}

/** Add one sample of every series. */
export function addSample({ at, series: now, models: byModel }) {
  const held = series.value ?? { step: 1, end: at - 1, series: {}, models: {} };
  if (at <= held.end) return;
  const before = Object.values(held.series)[0]?.length ?? 0;
  const all = {};
  for (const name of new Set([...Object.keys(held.series), ...Object.keys(now)])) {
    all[name] = grown(held.series[name], now[name], before);
  }
  const each = {};
  for (const id of new Set([...Object.keys(held.models), ...Object.keys(byModel ?? {})])) {
    const had = held.models[id] ?? {};
    const has = byModel?.[id] ?? {};
    each[id] = {};
    for (const name of new Set([...Object.keys(had), ...Object.keys(has)])) {
      each[id][name] = grown(had[name], has[name], before);
    }
  }
  series.value = { step: held.step, end: at, series: all, models: each };
}

/** Add events that are newer than those held. */
export function addEvents(more) {
  const newest = events.value.at(-1)?.sequence ?? 0;
  const fresh = more.filter((each) => each.sequence > newest);
  if (fresh.length) events.value = [...events.value, ...fresh].slice(-EVENTS);
}

/** Add finished requests, newest last; they are held newest first. */
export function addRequests(more) {
  const newest = requests.value[0]?.sequence ?? 0;
  const fresh = more.filter((each) => each.sequence > newest);
  if (fresh.length) requests.value = [...fresh.reverse(), ...requests.value].slice(0, REQUESTS);
}

/** Take an overview; what another process counted is forgotten. */
export function setOverview(seen) {
  const before = overview.value;
  if (!before || before.process !== seen.process || before.uptime > seen.uptime + 5) {
    began.value = Date.now() / 1000 - seen.uptime;
    events.value = [];
    requests.value = [];
    series.value = null;
  }
  overview.value = seen;
}

/** Add the details of some models. */
export function addDetails(some) {
  details.value = { ...details.value, ...Object.fromEntries(some.map((each) => [each.id, each])) };
}

const SERVES = new Set(["serving", "starting", "on_trial"]);

/** Every model that there is now, with its instances; what is not among them has gone. */
export function setModels(all) {
  details.value = Object.fromEntries(all.map((each) => [each.id, each]));
  summaries.value = all.flatMap((model) =>
    [...new Set(model.instances.map(({ kind }) => kind))].map((kind, at) => {
      const mine = model.instances.filter((each) => each.kind === kind);
      return {
        id: model.id,
        kind,
        instances: mine.length,
        serving: mine.filter(({ state }) => SERVES.has(state)).length,
        inflight: mine.reduce((total, each) => total + each.inflight, 0),
        waiting: at ? 0 : model.waiting,
      };
    }),
  );
}

/** The children of the tree in the order in which it is drawn: {node, depth, rails}. */
export function outline(root) {
  const rows = [];
  const walk = (node, rails) => {
    rows.push({ node, rails });
    node.children.forEach((child, at) => {
      walk(child, [...rails.map((each) => (each === "├" || each === "│" ? "│" : " ")), at === node.children.length - 1 ? "└" : "├"]);
    });
  };
  if (root) walk(root, []);
  return rows;
}

export function findChild(path) {
  return outline(tree.value).find(({ node }) => node.path === path)?.node ?? null;
}
