/** Numbers and times as people read them. Pure; "–" is what is not known. */

export const NONE = "–";
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const spaced = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

export function count(value) {
  return known(value) ? spaced(String(Math.round(value))) : NONE;
}

/** A rate or another measure: three digits, thousands as k. */
export function rate(value) {
  if (!known(value)) return NONE;
  if (value >= 10000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100 || value === 0) return spaced(value.toFixed(0));
  return value.toFixed(value < 10 ? 2 : 1);
}

/** Milliseconds of a time in seconds, without the unit. */
export function ms(seconds) {
  if (!known(seconds)) return NONE;
  const value = seconds * 1000;
  return value >= 100 ? spaced(value.toFixed(0)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A time span with its unit: µs, ms, s, min, h, d. */
export function span(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${ms(seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export function percent(share, digits = 0) {
  return known(share) ? `${(share * 100).toFixed(digits)}` : NONE;
}

export const mib = (bytes) => (known(bytes) ? spaced((bytes / 1048576).toFixed(0)) : NONE);

const two = (value) => String(value).padStart(2, "0");

/** The local time of day of a Unix time in seconds. */
export function clock(at, fraction = false) {
  const date = new Date(at * 1000);
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return fraction ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** The share of `values`, sorted here, at `q` (0 to 1); null of none. */
export function quantile(values, q) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Names hold anything: what would turn or hide the text around it is shown as a replacement. */
export const visible = (text) =>
  String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");

/** As `visible`, line by line. */
export const visibleLines = (text) => String(text).split("\n").map(visible).join("\n");
