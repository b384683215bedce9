/** The filter of requests: words that must occur, and field:value, each of which must hold. Pure. */

const NUMBERS = { status: "status", attempts: "attempts", tokens: "output_tokens", duration: "duration", first: "first_token" };
const TEXTS = { model: "model", instance: "instance", kind: "kind", endpoint: "endpoint", id: "id", outcome: "outcome" };

/** Every field that may stand before a colon. */
export const FIELDS = [...Object.keys(TEXTS), ...Object.keys(NUMBERS)];

const has = (value, wanted) => String(value ?? "").toLowerCase().includes(wanted);

function numeric(value, wanted) {
  const found = /^(>=|<=|>|<|=)?(\d+(?:\.\d+)?)(ms|s)?$/.exec(wanted);
  if (/^[1-5]xx$/.test(wanted)) return String(value)[0] === wanted[0];
  if (!found || value === null || value === undefined) return false;
  const limit = Number(found[2]) / (found[3] === "ms" ? 1000 : 1);
  return { ">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit }[found[1]] ?? value === limit;
}

function termOf(word) {
  const [, field, wanted] = /^(\w+):(.+)$/.exec(word) ?? [];
  if (field in TEXTS) return (row) => has(row[TEXTS[field]], wanted);
  if (field in NUMBERS) return (row) => numeric(row[NUMBERS[field]], wanted);
  return (row) => Object.values(TEXTS).some((name) => has(row[name], word)) || String(row.status) === word;
}

/** A test of one row for the query `text`. */
export function matcher(text) {
  const terms = text.toLowerCase().split(/\s+/).filter(Boolean).map(termOf);
  return (row) => terms.every((each) => each(row));
}
