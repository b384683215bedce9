/** One pane's conversation: asks /v1/chat/completions of this origin, and measures what comes. */
import { signal } from "@preact/signals";
import { headers } from "./api.js";
import { quantile } from "./format.js";
import { events } from "./sse.js";

const RAW = 400;

/** A pane: its model, what was said, and the measures of the answer that comes or came. */
export function pane(model) {
  return { model: signal(model), talk: signal([]), state: signal("idle"), problem: signal(""), stats: signal(fresh()), raw: signal([]), abort: null };
}

const fresh = () => ({ first: null, times: [], tokens: null, ended: null, finish: null });

/** The measures that are shown: seconds, tokens a second, tokens, seconds. */
export function measures({ first, times, tokens, ended }) {
  const gaps = times.slice(1).map((each, at) => each - times[at]);
  const number = tokens ?? times.length;
  const time = (ended ?? times.at(-1) ?? 0) - (first ?? 0);
  return { first, speed: number > 1 && time > 0 ? (number - 1) / time : null, tokens: number, gap: quantile(gaps, 0.99) };
}

/** The body of a request; settings that are empty are left to the server. */
export function bodyOf(model, talk, { system, temperature, top_p, max_tokens, seed, stream }) {
  const messages = [...(system ? [{ role: "system", content: system }] : []), ...talk.map(({ role, content }) => ({ role, content }))];
  const body = { model, messages, stream };
  for (const [name, value] of Object.entries({ temperature, top_p, max_tokens, seed })) {
    if (value !== "" && value !== null) body[name] = Number(value);
  }
  if (stream) body.stream_options = { include_usage: true };
  return body;
}

export function stop(one) {
  one.abort?.abort();
}

/** Ask `one` the `question` (null: the last one again). Never throws: what went wrong is its `problem`. */
export async function send(one, question, settings) {
  stop(one);
  const abort = (one.abort = new AbortController());
  const before = question === null ? withoutAnswer(one.talk.value) : [...one.talk.value, { role: "user", content: question }];
  one.talk.value = [...before, { role: "assistant", content: "" }];
  one.stats.value = fresh();
  one.raw.value = [];
  one.problem.value = "";
  one.state.value = "waiting";
  const started = performance.now();
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: headers({ "content-type": "application/json" }),
      body: JSON.stringify(bodyOf(one.model.value, before, settings)),
      signal: abort.signal,
    });
    if (!response.ok) throw new Error(await sentenceOf(response));
    await (settings.stream ? streamed(one, response, started) : whole(one, response));
    one.state.value = "done";
  } catch (error) {
    one.state.value = abort.signal.aborted ? "stopped" : "failed";
    if (!abort.signal.aborted) one.problem.value = error.message;
  }
  if (one.abort === abort) one.stats.value = { ...one.stats.value, ended: (performance.now() - started) / 1000 };
}

function withoutAnswer(talk) {
  return talk.at(-1)?.role === "assistant" ? talk.slice(0, -1) : talk;
}

async function sentenceOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

function grow(one, text) {
  const talk = one.talk.value;
  const last = talk.at(-1);
  one.talk.value = [...talk.slice(0, -1), { ...last, content: last.content + text }];
}

async function streamed(one, response, started) {
  for await (const { data } of events(response)) {
    const at = (performance.now() - started) / 1000;
    one.raw.value = [...one.raw.value, data].slice(-RAW);
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    const stats = { ...one.stats.value };
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content;
    if (text) {
      stats.first ??= at;
      stats.times = [...stats.times, at];
      one.state.value = "writing";
      grow(one, text);
    }
    if (choice?.finish_reason) stats.finish = choice.finish_reason;
    if (chunk.usage) stats.tokens = chunk.usage.completion_tokens;
    one.stats.value = stats;
  }
  throw new Error("the answer ended before its end was said");
}

async function whole(one, response) {
  const answer = await response.json();
  one.raw.value = [JSON.stringify(answer, null, 2)];
  grow(one, answer.choices[0].message.content ?? "");
  one.stats.value = { ...one.stats.value, tokens: answer.usage?.completion_tokens ?? null, finish: answer.choices[0].finish_reason };
}
