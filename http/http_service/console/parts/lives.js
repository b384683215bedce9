/** The lives of the tree's children: where each incarnation began and ended, from the events. Pure. */

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
