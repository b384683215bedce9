/** The lives of the tree's children: where each incarnation began and ended, from events and from looking. Pure but for `seen`. */
import { signal } from "@preact/signals";

/** What the page itself saw change: [{at, subject, after, text}], for a service that keeps no events. */
export const seen = signal([]);

const known = new Map();

/** Note what changed since the last look at the tree. */
export function look(root, at) {
  const fresh = [];
  const walk = (node) => {
    const before = known.get(node.path);
    if (before) {
      if (node.restarts > before.restarts) fresh.push(ended(node, at), { at, subject: node.path, after: "up", text: `epoch ${node.restarts + 1}` });
      else if (before.state === "up" && node.state !== "up") fresh.push({ ...ended(node, at), after: node.state });
      else if (before.state !== "up" && node.state === "up") fresh.push({ at, subject: node.path, after: "up", text: "up again" });
    }
    known.set(node.path, { restarts: node.restarts, state: node.state });
    node.children.forEach(walk);
  };
  walk(root);
  if (fresh.length) seen.value = [...seen.value, ...fresh].slice(-500);
}

const ended = (node, at) => ({ at, subject: node.path, after: "down", text: node.last_exit ?? "", level: /^crash/.test(node.last_exit) ? "error" : "info" });

const STATES = ["up", "down", "restarting"];

/** The changes of the child at `path`, oldest first; whatever else happened to it is none. */
export const changesOf = (path, changes) => changes.filter((each) => each.subject === path && STATES.includes(each.after));

/**
 * The stretches of one child between `from` and `to`: [{from, to, state}] with state up, waiting or
 * unknown, and its ends: [{at, text, crash}].
 */
export function livesOf(node, changes, from, to) {
  const mine = changesOf(node.path, changes).filter((each) => each.at <= to);
  const ends = [];
  const stretches = [];
  // Before the first thing that is known of it, it was what the first change ended.
  let state = mine.length ? (mine[0].after === "up" ? "none" : "up") : node.state === "up" ? "up" : "waiting";
  let since = from;
  const close = (at) => {
    if (at > since && state !== "none") stretches.push({ from: Math.max(from, since), to: at, state });
    since = Math.max(from, at);
  };
  for (const each of mine) {
    const next = each.after === "up" ? "up" : "waiting";
    if (each.at < from) {
      state = next;
      continue;
    }
    close(each.at);
    if (next === "waiting" && state === "up") ends.push({ at: each.at, text: each.text, crash: each.level === "error" });
    state = next;
  }
  close(to);
  return { stretches, ends };
}
