/** The console: the frame around its pages, and what keeps them up to date. */
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { keyWanted, hasKey, useKey } from "./parts/api.js";
import { run } from "./parts/feed.js";
import { Find } from "./parts/find.js";
import { count, span } from "./parts/format.js";
import { html } from "./parts/html.js";
import { help, PAGES } from "./parts/keys.js";
import { route, to } from "./parts/route.js";
import { link, models, overview, trouble } from "./parts/store.js";
import { Theme } from "./parts/theme.js";
import { Dialogs, State, Toasts } from "./parts/ui.js";
import { Models } from "./pages/models.js";
import { Overview } from "./pages/overview.js";
import { Playground } from "./pages/playground.js";
import { Requests } from "./pages/requests.js";
import { Tree } from "./pages/tree.js";

const VIEWS = { overview: Overview, tree: Tree, models: Models, requests: Requests, playground: Playground };

function Top() {
  const here = route.value.page;
  return html`<header class="top">
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").focus())}>Skip to the content</a>
    <a class="brand" href="#/"><img src="/console/icon.svg" width="20" height="20" alt="" />Callboard</a>
    <nav aria-label="Pages">
      ${PAGES.map(
        ([page, name]) => html`<a href=${to(page)} aria-current=${here === page ? "page" : undefined}>${name}${page === "models" && overview.value && html` <span class="pill">${count(models.value.length)}</span>`}</a>`,
      )}
    </nav>
    <${Health} />
    <${Find} />
    <${Theme} />
    <button type="button" class="icon" onClick=${help} aria-label="Keyboard" title="Keyboard (?)">?</button>
  </header>`;
}

function Health() {
  const seen = overview.value;
  const lost = link.value === "lost";
  if (!seen) return html`<span class="health">${link.value}</span>`;
  const ready = seen.status === "ready";
  const title = lost ? trouble.value : (seen.reason ?? `process ${seen.process}, Python ${seen.python}`);
  return html`<span class="health">
    <${State} tone=${lost ? "red" : ready ? "green" : "amber"} title=${title}><b>${lost ? "no answer" : seen.status.replace("_", " ")}</b><//>
    <span>up ${span(seen.uptime)}</span> <span class="mono">${seen.version}</span>
  </span>`;
}

function KeyAsked() {
  const given = (event) => {
    event.preventDefault();
    useKey(event.target.elements.key.value.trim());
  };
  useEffect(() => document.getElementById("key").focus(), []);
  return html`<form class="key panel" onSubmit=${given}>
    <h1>A key, please</h1>
    <p>${hasKey() ? "The service does not take this key." : "This service shows itself to operators only."} The key stays in this tab.</p>
    <label class="field">Key <input id="key" name="key" type="password" autocomplete="off" required /></label>
    <button type="submit" class="primary">Open</button>
  </form>`;
}

function App() {
  const View = VIEWS[route.value.page];
  const name = PAGES.find(([page]) => page === route.value.page)?.[1] ?? "Not found";
  useEffect(() => {
    document.title = `${name} · Callboard`;
  }, [name]);
  if (keyWanted.value) return html`<main id="main"><${KeyAsked} /></main>`;
  return html`<${Top} />
    ${link.value === "lost" && html`<p class="banner" role="alert"><${State} tone="red">${trouble.value}<//></p>`}
    <main id="main" tabindex="-1" class=${route.value.page}>
      <h1 class="unseen">${name}</h1>
      ${View ? html`<${View} />` : html`<p class="empty">There is no such page. <a href="#/">Back to the overview</a></p>`}
    </main>
    <${Dialogs} /><${Toasts} />`;
}

const app = document.getElementById("app");
app.replaceChildren();
render(html`<${App} />`, app);
run();
