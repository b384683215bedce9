/** Keeps the store up to date: one stream, or polling where the service has none. */
import { signal } from "@preact/signals";
import { ApiError, PREFIX, check, get, getIfThere, headers, keyWanted, offers } from "./api.js";
import { look } from "./lives.js";
import { events as serverSent } from "./sse.js";
import * as store from "./store.js";

const TOPICS = "stats,tree,events,models";
const POLL = 500;
const SLOW = 5000;
const RETRY = 1000;
const SILENCE = 40000;

/** Whether a page watches requests one by one: the service keeps more of them then. */
export const watchesRequests = signal(false);
/** Ids whose instances the page shows: asked for one by one where nothing is streamed. */
export const shown = signal([]);

const APPLY = {
  stats: store.addSample,
  tree: setTree,
  events: store.addEvents,
  models: store.setDetails,
  requests: store.addRequests,
};

function setTree(root) {
  look(root, Date.now() / 1000);
  store.tree.value = root;
}

const pause = (time) => new Promise((done) => setTimeout(done, time));
const visible = () => document.visibilityState === "visible";

async function slowParts() {
  const [overview, list, sources, processes] = await Promise.all([
    get("overview"),
    get("models"),
    get("sources"),
    getIfThere("processes"),
  ]);
  store.overview.value = overview;
  store.summaries.value = list.models;
  store.sources.value = sources.sources;
  store.processes.value = processes?.processes ?? null;
  await missingDetails();
}

async function missingDetails() {
  const listed = new Set(store.summaries.value.map((each) => each.id));
  const wanted = shown.value.filter((id) => listed.has(id) && (store.link.value !== "live" || !store.details.value[id]));
  const found = await Promise.allSettled(wanted.map((id) => get(`models/${encodeURIComponent(id)}`)));
  store.setDetails(found.filter(({ value }) => value).map(({ value }) => value)); // one may have gone meanwhile
}

async function allOnce() {
  const [root, series, events, requests] = await Promise.all([
    get("tree"),
    getIfThere("series"),
    getIfThere("events?limit=1000"),
    getIfThere("requests?limit=500"),
    slowParts(),
  ]);
  setTree(root);
  store.series.value = series;
  store.addEvents(events?.events ?? []);
  store.keepsRequests.value = requests !== null;
  store.addRequests(requests?.requests ?? []);
}

/** Read the stream until it ends; returns false where this service has none. */
async function follow(lastId) {
  if (!(await offers("stream"))) return false;
  const abort = new AbortController();
  const topics = watchesRequests.value ? `${TOPICS},requests` : TOPICS;
  const stop = watchesRequests.subscribe((now) => now !== topics.endsWith(",requests") && abort.abort());
  let silence = setTimeout(() => abort.abort(), SILENCE);
  try {
    const given = headers(lastId.value ? { "last-event-id": lastId.value } : {});
    const response = await fetch(`${PREFIX}stream?topics=${topics}`, { headers: given, signal: abort.signal, cache: "no-store" });
    if (response.status === 429) return false; // as many readers as it has places for
    await check(response);
    store.link.value = "live";
    for await (const { event, id, data } of serverSent(response)) {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE);
      if (id) lastId.value = id;
      APPLY[event]?.(JSON.parse(data));
    }
  } finally {
    clearTimeout(silence);
    stop();
  }
  return true;
}

async function poll() {
  store.link.value = "polling";
  let rounds = 0;
  for (;;) {
    await pause(POLL);
    if (!visible()) continue;
    setTree(await get("tree"));
    if (++rounds % 2) continue;
    await slowParts();
    store.addEvents((await getIfThere(`events?after=${store.events.value.at(-1)?.sequence ?? 0}`))?.events ?? []);
    if (watchesRequests.value) store.addRequests((await getIfThere(`requests?after=${store.requests.value[0]?.sequence ?? 0}`))?.requests ?? []);
    store.series.value = await getIfThere("series");
  }
}

/** Run for as long as the page is open; says in `link` and `trouble` how it goes. */
export async function run() {
  const lastId = { value: null };
  for (;;) {
    try {
      await allOnce();
      store.trouble.value = "";
      const slow = setInterval(() => visible() && slowParts().catch(() => {}), SLOW);
      try {
        while (await follow(lastId)) await pause(50);
      } finally {
        clearInterval(slow);
      }
      await poll();
    } catch (error) {
      if (error.name === "AbortError") continue;
      store.link.value = "lost";
      store.trouble.value = error instanceof ApiError ? error.message : "the service does not answer; trying again";
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
  await slowParts();
  setTree(await get("tree"));
}
