/** Keeps the store up to date: one stream, or polling where its places are taken. */
import { computed, signal } from "@preact/signals";
import { ApiError, PREFIX, check, get, headers, keyWanted } from "./api.js";
import { route } from "./route.js";
import { events as serverSent } from "./sse.js";
import * as store from "./store.js";

const TOPICS = "stats,tree,events,models";
const POLL = 500;
const POLLS = 60;
const SLOW = 5000;
const RETRY = 1000;
const PAUSE = 50;
const SILENCE = 40000;

/** Whether a page watches requests one by one: the service keeps more of them then. */
const watchesRequests = computed(() => route.value.page === "requests");
/** Ids whose instances the page shows: asked for one by one where nothing is streamed. */
export const shown = signal([]);

const APPLY = {
  stats: store.addSample,
  tree: setTree,
  events: store.addEvents,
  models: store.setModels,
  requests: store.addRequests,
};

function setTree(root) {
  store.tree.value = root;
}

const pause = (time) => new Promise((done) => setTimeout(done, time));
const visible = () => document.visibilityState === "visible";

/** What no topic tells; and, while nothing is streamed, the models. */
async function slowParts() {
  const [overview, sources, processes] = await Promise.all([get("overview"), get("sources"), get("processes")]);
  store.setOverview(overview);
  store.sources.value = sources.sources;
  store.processes.value = processes.processes;
}

async function models() {
  store.summaries.value = (await get("models")).models;
  const listed = new Set(store.summaries.value.map((each) => each.id));
  const wanted = shown.value.filter((id) => listed.has(id));
  const found = await Promise.allSettled(wanted.map((id) => get(`models/${encodeURIComponent(id)}`)));
  store.addDetails(found.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []))); // one may have gone
}

const newestEvent = () => store.events.value.at(-1)?.sequence ?? 0;
const newestRequest = () => store.requests.value[0]?.sequence ?? 0;

async function fastParts() {
  const [series, events, requests] = await Promise.all([
    get("series"),
    get(`events?after=${newestEvent()}&limit=1000`),
    get(`requests?after=${newestRequest()}&limit=500`),
    models(),
  ]);
  store.series.value = series;
  store.addEvents(events.events);
  store.addRequests(requests.requests);
}

/** Everything; from nothing where another process answers than before. */
async function allOnce() {
  store.setOverview(await get("overview"));
  store.trouble.value = "";
  const [root, series, events, requests] = await Promise.all([
    get("tree"),
    get("series"),
    get("events?limit=1000"),
    get("requests?limit=500"),
    slowParts(),
    models(),
  ]);
  setTree(root);
  store.series.value = series;
  store.addEvents(events.events);
  store.addRequests(requests.requests);
}

/** Where the stream goes on: its last id, which is the service's own business; null: everything is asked for first. */
let lastId = null;

/**
 * Read the stream until it ends. What was before it is asked for once it has begun, so that nothing
 * lies between the two. Returns false where its places are taken.
 */
async function follow() {
  const abort = new AbortController();
  const topics = watchesRequests.value ? `${TOPICS},requests` : TOPICS;
  const stop = watchesRequests.subscribe((now) => now !== topics.endsWith(",requests") && abort.abort());
  let silence = setTimeout(() => abort.abort(), SILENCE);
  try {
    const given = headers(lastId === null ? {} : { "last-event-id": lastId });
    const response = await fetch(`${PREFIX}stream?topics=${topics}`, { headers: given, signal: abort.signal, cache: "no-store" });
    if (lastId === null) await allOnce();
    if (response.status === 429) return false;
    await check(response);
    store.link.value = "live";
    for await (const { event, id, data } of serverSent(response)) {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE);
      APPLY[event]?.(JSON.parse(data));
      lastId = id ?? lastId;
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    clearTimeout(silence);
    stop();
  }
  return true;
}

/** Ask again and again for some time, then try the stream once more. */
async function poll() {
  store.link.value = "polling";
  await slowParts();
  for (let round = 0; round < POLLS; round++) {
    await pause(POLL);
    if (!visible()) continue;
    setTree(await get("tree"));
    if (round % 2 === 0) await fastParts();
  }
}

/** What was before is unknown again: ask for everything. */
function lost(error) {
  lastId = null;
  store.link.value = "lost";
  store.trouble.value = error instanceof ApiError ? error.message : "the service does not answer; trying again";
}

/** Run for as long as the page is open; says in `link` and `trouble` how it goes. */
export async function run() {
  const quiet = () => {}; // the stream says whether the service is lost
  setInterval(() => visible() && store.link.value === "live" && slowParts().catch(quiet), SLOW);
  for (;;) {
    try {
      while (await follow()) await pause(PAUSE);
      lastId = null;
      await poll();
    } catch (error) {
      lost(error);
      await (keyWanted.value ? keyGiven() : pause(RETRY));
    }
  }
}

function keyGiven() {
  return new Promise((done) => {
    const stop = keyWanted.subscribe((wanted) => {
      if (!wanted) {
        done();
        queueMicrotask(() => stop());
      }
    });
  });
}

/** Look again now, after a change that this page asked for. */
export async function refresh() {
  const [root] = await Promise.all([get("tree"), slowParts(), models()]);
  setTree(root);
}
