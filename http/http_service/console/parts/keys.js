/** The keyboard: `/` finds, g and a letter goes to a page, arrows walk through rows. */
import { go } from "./route.js";
import { ask } from "./ui.js";
import { html } from "./html.js";

export const PAGES = [
  ["overview", "Overview", "o"],
  ["tree", "Tree", "t"],
  ["models", "Models", "m"],
  ["requests", "Requests", "r"],
  ["playground", "Playground", "p"],
];

const typing = (element) => element.matches?.("input, textarea, select, [contenteditable]");
let going = 0;

function walk(event) {
  const rows = event.target.closest?.("[data-rows]");
  if (!rows) return;
  const links = [...rows.querySelectorAll("[data-row]")];
  const at = links.indexOf(event.target.closest("[data-row]"));
  const next = links[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") return walk(event);
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("find").focus();
  } else if (event.key === "?") help();
  else if (event.key === "g") going = event.timeStamp;
  else if (going && event.timeStamp - going < 1500) {
    going = 0;
    const page = PAGES.find(([, , letter]) => letter === event.key);
    if (page) go(page[0]);
  }
}

export function help() {
  const rows = [
    ["/", "find a model, a child of the tree, a request or a page"],
    ...PAGES.map(([, name, letter]) => [`g ${letter}`, name]),
    ["↑ ↓", "the row above or below, in a table"],
    ["Enter", "open the row; in the playground: send"],
    ["Esc", "close what is open; in the playground: stop"],
    ["?", "this list"],
  ];
  ask({
    title: "Keyboard",
    body: html`<table><tbody>${rows.map(([key, what]) => html`<tr><td><kbd>${key}</kbd></td><td>${what}</td></tr>`)}</tbody></table>`,
  });
}

addEventListener("keydown", pressed);
