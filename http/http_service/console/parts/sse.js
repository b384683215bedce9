/** Server-sent events read from a fetch: EventSource can send no Authorization header. */

/** The events of `response` as {event, id, data}; comments are skipped. Ends with the stream. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const found = parse(block);
        if (found) yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export function parse(block) {
  const found = { event: "message", id: null, data: null };
  for (const line of block.split(/\r?\n/)) {
    const at = line.indexOf(":");
    if (at === 0) continue;
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "data") found.data = found.data === null ? value : `${found.data}\n${value}`;
    else if (name === "event" || name === "id") found[name] = value;
  }
  return found.data === null ? null : found;
}
