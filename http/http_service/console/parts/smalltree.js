/** The supervision tree as a small drawing: the root at the left, supervisors before their children. */
import { visible } from "./format.js";
import { html } from "./html.js";
import { to } from "./route.js";

const ROW = 26;
const COLUMN = 150;

export const toneOf = (state) => ({ up: "green", starting: "amber", restarting: "amber" })[state] ?? "red";

/** What stands behind a child: what is unlike the ordinary of it. */
function noteOf(node) {
  const parts = [];
  if (node.state !== "up") parts.push(node.state);
  if (node.restarts) parts.push(`epoch ${node.restarts + 1}`);
  if (node.mailbox_depth) parts.push(`${node.mailbox_depth} waiting`);
  if (node.busy_for !== null && node.busy_for > 1) parts.push(`busy ${node.busy_for.toFixed(0)} s`);
  return parts.join(" · ");
}

/** Leaves take a row each; a supervisor stands in the middle of its children. */
function placed(node, depth, found) {
  const below = node.children.map((child) => placed(child, depth + 1, found));
  const y = below.length ? (below[0].y + below.at(-1).y) / 2 : found.rows++ * ROW;
  const spot = { node, x: depth * COLUMN, y, below };
  found.spots.push(spot);
  return spot;
}

export function SmallTree({ root }) {
  const found = { rows: 0, spots: [] };
  placed(root, 0, found);
  const width = Math.max(...found.spots.map(({ x }) => x)) + COLUMN;
  return html`<svg class="small-tree" viewBox="-10 -14 ${width + 10} ${Math.max(1, found.rows) * ROW + 8}" role="group" aria-label="supervision tree">
    ${found.spots.map(({ x, y, node, below }) =>
      below.map((child) => {
        const start = x + 14 + Math.min(18, visible(node.id).length) * 6.4;
        return html`<path key=${child.node.path} d="M${start} ${y}C${start + 20} ${y} ${child.x - 30} ${child.y} ${child.x - 8} ${child.y}" />`;
      }),
    )}
    ${found.spots.map(
      ({ x, y, node }) => html`<a key=${node.path} href=${to("tree", node.path)} aria-label="${visible(node.id)}, ${node.state}, epoch ${node.restarts + 1}">
        ${node.state === "up" ? html`<circle class=${toneOf(node.state)} cx=${x} cy=${y} r="4" />` : html`<rect class=${toneOf(node.state)} x=${x - 4} y=${y - 4} width="8" height="8" />`}
        <text x=${x + 9} y=${y + 3.5}>${visible(node.id).slice(0, 18)}${noteOf(node) && html`<tspan dx="6">${noteOf(node)}</tspan>`}</text>
      </a>`,
    )}
  </svg>`;
}
