/** Light or dark: the system's choice until the switch is used; kept in this browser. */
import { signal } from "@preact/signals";
import { html } from "./html.js";

const STORED = "callboard.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = signal(localStorage.getItem(STORED));
const system = signal(dark.matches);
dark.addEventListener("change", () => (system.value = dark.matches));

/** Whether the page is dark now; pictures that take colours as values redraw with it. */
export const isDark = () => (chosen.value ? chosen.value === "dark" : system.value);

function apply() {
  if (chosen.value) document.documentElement.dataset.theme = chosen.value;
}
apply();

function turn() {
  chosen.value = isDark() ? "light" : "dark";
  localStorage.setItem(STORED, chosen.value);
  apply();
}

/** The value of a colour of the style sheet, for a canvas. */
export function colour(name) {
  const probe = document.getElementById("main") ?? document.body;
  probe.style.setProperty("accent-color", `var(--${name})`);
  const value = getComputedStyle(probe).accentColor;
  probe.style.removeProperty("accent-color");
  return value;
}

export function Theme() {
  const label = isDark() ? "Light theme" : "Dark theme";
  return html`<button type="button" class="icon" onClick=${turn} aria-label=${label} title=${label}>${isDark() ? "☀" : "☾"}</button>`;
}
