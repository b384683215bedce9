/** Small pictures of numbers: sparkline, bar, bar code of tokens, squares of instances. */
import { html } from "./html.js";

const WIDTH = 120;
const HEIGHT = 24;
const POINTS = 90;

/** At most `POINTS` values: the greatest of each bucket, null where nothing was observed. */
export function condensed(values, points = POINTS) {
  const size = Math.ceil(values.length / points);
  if (size <= 1) return values;
  const found = [];
  for (let at = 0; at < values.length; at += size) {
    const known = values.slice(at, at + size).filter((each) => each !== null && each !== undefined);
    found.push(known.length ? Math.max(...known) : null);
  }
  return found;
}

/** The last values as a line over its area; a gap where nothing was observed. */
export function Spark({ values = [], tone = "blue", label, low = 0 }) {
  const points = condensed(values);
  const known = points.filter((each) => each !== null && each !== undefined);
  const high = Math.max(low + 1e-9, ...known);
  const x = (at) => (at / Math.max(1, points.length - 1)) * (WIDTH - 3);
  const y = (value) => HEIGHT - 2 - ((value - low) / (high - low)) * (HEIGHT - 5);
  const parts = [];
  let run = [];
  points.forEach((value, at) => {
    if (value === null || value === undefined) {
      if (run.length) parts.push(run);
      run = [];
    } else run.push([x(at), y(value)]);
  });
  if (run.length) parts.push(run);
  const line = (part) => part.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L");
  const last = parts.length ? parts[parts.length - 1].at(-1) : null;
  return html`<svg class="spark ${tone}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${parts.map(
      (part) => html`<path class="area" d="M${part[0][0]} ${HEIGHT}L${line(part)}L${part.at(-1)[0]} ${HEIGHT}Z" />
        <path class="line" d="M${line(part)}${part.length === 1 ? "h1" : ""}" />`,
    )}
    ${last && html`<circle cx=${last[0]} cy=${last[1]} r="1.6" />`}
  </svg>`;
}

/** How much of `most` is used; amber from 80 %. */
export function Bar({ value, most, label }) {
  const share = most ? Math.min(1, value / most) : 0;
  return html`<span class="bar ${share >= 0.8 ? "amber" : ""}" role="meter" aria-label=${label} aria-valuemin="0" aria-valuenow=${value} aria-valuemax=${most || value || 1}>
    <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width=${share * 100} height="6" /></svg>
  </span>`;
}

/** One stroke for each arrival, in seconds: a stall is a gap. */
export function Barcode({ times, from = 0, to, tone = "blue" }) {
  const end = to ?? times.at(-1) ?? 1;
  const scale = 1000 / Math.max(1e-9, end - from);
  const d = times.map((each) => `M${((each - from) * scale).toFixed(1)} 0V16`).join("");
  return html`<svg class="barcode ${tone}" viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="arrival of ${times.length} tokens"><path d=${d} /></svg>`;
}

/** The instances of a model, a square each; the words say the same. */
export function Squares({ instances }) {
  const counts = {};
  for (const each of instances) counts[each.state] = (counts[each.state] ?? 0) + 1;
  const words = Object.entries(counts).map(([state, number]) => `${number} ${state.replace("_", " ")}`);
  return html`<span class="squares" role="img" aria-label=${words.join(", ") || "none"} title=${words.join(", ")}>
    ${instances.slice(0, 12).map((each) => html`<i class="square ${each.state}" />`)}${instances.length > 12 && html`<small>+${instances.length - 12}</small>`}
  </span>`;
}
