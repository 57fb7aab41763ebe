// The frame: header, views, and what the address says. An address names all that is seen: #/flow/purchasing/create_po.

import * as api from "./api.js";
import { button, h, icon, replace, setText, signButton } from "./dom.js";
import { askToken } from "./dialogs.js";
import { DomainsView } from "./domains.js";
import { FlowView } from "./flow.js";
import { time } from "./format.js";
import { live } from "./live.js";
import { PlaygroundView } from "./playground.js";

const VIEWS = {
  flow: { label: "Flow", make: FlowView, ofFlow: true },
  domains: { label: "Domains", make: DomainsView, ofFlow: false },
  play: { label: "Playground", make: PlaygroundView, ofFlow: true },
};

const main = document.getElementById("main");
const top = document.getElementById("top");

let flows = [];
let view = null;
// Which flow was looked at last, so that views hand it on.
let lastFlow = null;

// "#/play/purchasing?product_id=PROD-001": the view, what follows, and the query.
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name: VIEWS[name] ? name : "flow", rest, query: new URLSearchParams(query) };
}

export function link(name, parts = [], query = "") {
  const path = [name, ...parts.filter(Boolean)].map(encodeURIComponent).join("/");
  return `#/${path}${String(query) ? `?${query}` : ""}`;
}

// The number of a domain's colour: by its place among all of them, so that it is one colour everywhere.
function colour(domain) {
  const names = new Set([...flows.flatMap((flow) => flow.nodes.map((node) => node.domain)), ...live.domains.keys()]);
  const sorted = [...names].filter(Boolean).sort();
  return Math.max(sorted.indexOf(domain), 0) % 8;
}

const context = {
  colour,
  link,
  flowNamed: (name) => flows.find((flow) => flow.flow === name),
  // Writes the address without a new step in the history, and without coming here again.
  rewrite: (hash) => history.replaceState(null, "", hash),
  // Where there are several flows: one to choose from.
  chooser(current, name) {
    if (flows.length < 2) return null;
    const choice = h("select", { id: "flow-choice", onchange: () => { location.hash = link(name, [choice.value]); } },
      flows.map(({ flow }) => h("option", { value: flow, selected: flow === current }, flow)));
    choice.value = current;
    return h("label.choice", h("span", "Flow"), choice);
  },
};

// Reads what there is; the views are shown once that is known.
async function begin() {
  replace(main, loading());
  let refused = false;
  for (;;) {
    try {
      flows = await api.flows();
      break;
    } catch (error) {
      const given = error.problem?.code === "unauthorized" && await askToken("Token", "The flows of this service are for whoever has a token.", refused);
      if (!given) {
        replace(main, trouble(error, begin));
        return;
      }
      api.becomeCaller(given);
      refused = true;
    }
  }
  live.start();
  await route(true);
}

async function route(first = false) {
  const { name, rest, query } = address();
  const { label, make, ofFlow } = VIEWS[name];
  for (const tab of top.querySelectorAll("nav a")) {
    tab.toggleAttribute("aria-current", false);
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
  }
  let flow = null;
  if (ofFlow) {
    const asked = rest[0] ?? lastFlow ?? flows[0]?.flow;
    flow = context.flowNamed(asked);
    if (!flow) {
      leave();
      replace(main, missing(asked));
      document.title = "Tributary";
      return;
    }
    lastFlow = flow.flow;
    for (const tab of top.querySelectorAll("nav a")) tab.href = link(tab.dataset.view, VIEWS[tab.dataset.view].ofFlow ? [lastFlow] : []);
  }
  const deeper = ofFlow ? rest.slice(1) : rest;
  document.title = `${label}${flow ? ` · ${flow.flow}` : ""} · Tributary`;
  // The same view of the same thing only moves.
  if (view instanceof make && view.flow?.flow === flow?.flow) {
    view.show(deeper, query);
    return;
  }
  leave();
  const next = new make(flow, context);
  view = next;
  replace(main, next.element);
  try {
    await next.begin(deeper, query);
  } catch (error) {
    if (view === next) replace(main, trouble(error, () => { view = null; route(); }));
  }
  if (!first && view === next) main.focus({ preventScroll: true });
  if (!first) scrollTo(0, 0);
}

function leave() {
  view?.end();
  view = null;
}

const loading = () => h("div.loading", { role: "status" }, h("span.sr", "Loading"), h("span.shimmer.title"), h("span.shimmer.large"));

function trouble(error, again) {
  const { title, detail, code } = error.problem ?? { title: "Something in this page went wrong", detail: String(error), code: "page" };
  return h("section.empty", { role: "alert" }, icon("alert"), h("h1", title), h("p", detail), h("p.muted", code), button("Try again", { icon: "restart", onclick: again }));
}

const missing = (name) => h("section.empty", icon("search"),
  h("h1", name ? `There is no flow “${name}”` : "No flow is served"),
  h("p", name ? "It may have been renamed, or the address was mistyped." : "Name one with --graph when the service is started."),
  h("ul.links", flows.map(({ flow }) => h("li", h("a", { href: link("flow", [flow]) }, flow)))));

// Light, dark, or as the system says.
function themes() {
  const kinds = { auto: ["auto", "Colours: as the system says"], light: ["sun", "Colours: light"], dark: ["moon", "Colours: dark"] };
  const names = Object.keys(kinds);
  let current = names.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto";
  const apply = () => {
    document.documentElement.dataset.theme = current;
    const [sign, label] = kinds[current];
    toggle.setAttribute("aria-label", label);
    toggle.title = label;
    replace(toggle, icon(sign));
  };
  const toggle = signButton("Colours", "auto", () => {
    current = names[(names.indexOf(current) + 1) % names.length];
    localStorage.setItem("theme", current);
    apply();
  });
  apply();
  return toggle;
}

// Whether the page hears from the service.
function connection() {
  const word = h("span.word", "Connecting");
  const element = h("span.connection", { role: "status" }, h("span.dot"), word);
  const banner = h("div.banner", { hidden: true }, icon("alert"), h("p"));
  const tell = () => {
    element.dataset.state = live.state;
    setText(word, { connecting: "Connecting", live: "Live", lost: "Reconnecting" }[live.state]);
    banner.hidden = live.state !== "lost";
    document.documentElement.classList.toggle("stale", live.state === "lost");
    if (live.state === "lost") {
      replace(banner.querySelector("p"), "The connection to the service is lost; it is tried again by itself. ", live.heard && ["What is shown is as of ", time(live.heard), "."]);
    }
  };
  live.addEventListener("state", tell);
  tell();
  return { element, banner };
}

function header() {
  const { element, banner } = connection();
  const tabs = Object.entries(VIEWS).map(([name, { label }]) => h("a", { href: link(name), "data-view": name }, label));
  replace(top,
    h("div.bar",
      h("a.brand", { href: "#/flow", "aria-label": "Tributary, the console" }, mark(), h("span", "Tributary")),
      h("nav", { "aria-label": "Views" }, tabs),
      h("div.aside", element, themes())),
    banner);
}

const mark = () => h("span.mark", { "aria-hidden": "true" });

header();
addEventListener("hashchange", () => route());
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, dialog")) return;
  const field = document.querySelector(".search");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});
// Files were read again: what is shown may be another flow by now.
live.addEventListener("release", async () => {
  flows = await api.flows().catch(() => flows);
  leave();
  await route(true);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
await begin();
