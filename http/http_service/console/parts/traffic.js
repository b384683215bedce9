/** Requests by model over time, stacked, with what happened marked in it; drawn by uPlot. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, rate } from "./format.js";
import { html } from "./html.js";
import { modelSeries, series, sum, totals } from "./store.js";
import { colour, isDark } from "./theme.js";

export const TONES = ["blue", "orange", "olive", "purple"];
const MODELS = 3;

/** The busiest models and, as one, the rest: [{name, values}], each as long as the window. */
export function bands(window) {
  const cut = (values) => values.slice(-window);
  const ids = Object.keys(series.value?.models ?? {});
  const all = cut(totals("requests"));
  const ranked = ids
    .map((id) => ({ name: id, values: cut(modelSeries(id, "requests")) }))
    .map((each) => ({ ...each, total: sum(each.values) }))
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.total - a.total);
  const top = ranked.slice(0, MODELS).map(({ name, values }) => ({ name, values }));
  const rest = all.map((value, at) => (value === null ? null : Math.max(0, value - sum(top.map((each) => each.values[at + each.values.length - all.length])))));
  if (sum(rest) > sum(all) / 100) top.push({ name: ranked.length ? "others" : "all", values: rest });
  return top;
}

function stacked(shown, length) {
  const total = new Array(length).fill(0);
  return shown.map(({ values }) =>
    total.map((before, at) => (total[at] = before + (values[at + values.length - length] ?? 0))),
  );
}

function marker(plot, marks) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  let free = -Infinity;
  for (const { at, text, tone } of marks) {
    const x = Math.round(plot.valToPos(at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.strokeStyle = colour(tone);
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(text).width + 10 * ratio;
    const left = Math.min(x + 5 * ratio, bbox.left + bbox.width - width);
    if (left < free) continue;
    ctx.fillStyle = colour("text");
    ctx.fillText(text, left, bbox.top + 11 * ratio);
    free = left + width;
  }
  ctx.restore();
}

function options(element, names, marks, moved) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.25)] } },
    axes: [
      { ...axis, size: 26, values: (_plot, ticks) => ticks.map((each) => clock(each).slice(0, ticks.length > 1 && ticks[1] - ticks[0] < 60 ? 8 : 5)), space: 90 },
      { ...axis, size: 44, values: (_plot, ticks) => ticks.map(rate) },
    ],
    series: [{}, ...names.map((_name, at) => ({ stroke: colour(TONES[at]), width: 1.5, points: { show: false }, fill: `color-mix(in srgb, ${colour(TONES[at])} 22%, transparent)` }))],
    bands: names.slice(1).map((_name, at) => ({ series: [at + 2, at + 1] })),
    hooks: { draw: [(plot) => marker(plot, marks())], setCursor: [moved] },
  };
}

/** `shown` are bands, `marks` [{at, text, tone}] in the order of time; `onPoint` gets the place pointed at, from the end (-1), or null. */
export function Traffic({ shown, marks, onPoint }) {
  const element = useRef(null);
  const held = useRef(/** @type {any} */ ({ marks: [] }));
  const names = shown.map(({ name }) => name);
  const dark = isDark();
  held.current.marks = marks;
  held.current.onPoint = onPoint;
  useEffect(() => {
    const moved = ({ cursor, data }) => held.current.onPoint(cursor.idx === null || cursor.left < 0 ? null : cursor.idx - data[0].length);
    const plot = new uPlot(options(element.current, names, () => held.current.marks, moved), [[], ...names.map(() => [])], element.current);
    held.current.plot = plot;
    const place = element.current;
    const resized = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight }));
    resized.observe(place);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [names.join("\n"), dark]);
  useEffect(() => {
    const length = Math.max(0, ...shown.map(({ values }) => values.length));
    const end = series.value?.end ?? 0;
    const step = series.value?.step ?? 1;
    const times = Array.from({ length }, (_each, at) => end - (length - 1 - at) * step);
    held.current.plot.setData([times, ...stacked(shown, length)]);
  });
  const now = shown.map(({ name, values }) => `${name} ${rate(values.at(-1))} requests a second`).join(", ");
  return html`<div class="chart" ref=${element} role="img" aria-label=${now || "no requests yet"} />`;
}
