// The frame: header, views, and what the address says. An address names all that is seen: #/flow/purchasing/create_po.

import * as api from "./api.js";
import { ApprovalsView } from "./approvals.js";
import { button, h, icon, remembered, replace, setText, signButton } from "./dom.js";
import { askToken, closeDialogs } from "./dialogs.js";
import { DomainsView } from "./domains.js";
import { FlowView } from "./flow.js";
import { time } from "./format.js";
import { live } from "./live.js";
import { OverviewView } from "./overview.js";
import { PlaygroundView } from "./playground.js";

const VIEWS = {
  overview: { label: "Overview", make: OverviewView, ofFlow: false },
  flow: { label: "Flow", make: FlowView, ofFlow: true },
  domains: { label: "Domains", make: DomainsView, ofFlow: false },
  play: { label: "Playground", make: PlaygroundView, ofFlow: true },
  approvals: { label: "Approvals", make: ApprovalsView, ofFlow: false },
};

const main = document.getElementById("main");
const top = document.getElementById("top");

// What is served; null until that is known.
let flows = null;
// Whether the service answers for one domain only: it has no flows.
let isOfDomain = false;
let view = null;
// Which flow was looked at last, so that views hand it on.
let lastFlow = null;

// "#/play/purchasing?product_id=PROD-001": the view, what follows, and the query.
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decoded);
  const isKnown = Object.hasOwn(VIEWS, name) && !(isOfDomain && name !== "domains");
  return { name: isKnown ? name : isOfDomain ? "domains" : "overview", rest, query: new URLSearchParams(query) };
}

// Somebody may have typed anything: what cannot be decoded is taken as it stands.
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export function link(name, parts = [], query = "") {
  const path = [name, ...parts.filter(Boolean)].map(encodeURIComponent).join("/");
  return `#/${path}${String(query) ? `?${query}` : ""}`;
}

// The number of a domain's colour: given once, so that it is one colour everywhere for as long as the page is open.
const colours = new Map();
function colour(domain) {
  const names = [...(flows ?? []).flatMap((flow) => flow.nodes.map((node) => node.domain)).filter(Boolean).sort(), ...[...live.domains.keys()].sort(), domain];
  for (const name of names) if (!colours.has(name)) colours.set(name, colours.size % 8);
  return colours.get(domain);
}

const context = {
  colour,
  link,
  flows: () => flows,
  isOfDomain: () => isOfDomain,
  flowNamed: (name) => flows.find((flow) => flow.flow === name),
  // Writes the address without a new step in the history, and without coming here again.
  rewrite: (hash) => history.replaceState(null, "", hash),
  // Shows what the address says, as if it had just been opened.
  again() {
    leave();
    return route(true);
  },
  // Where there are several flows: one to choose from.
  chooser(current, name) {
    if (flows.length < 2) return null;
    const choice = h("select", { id: "flow-choice", onchange: () => { location.hash = link(name, [choice.value]); } },
      flows.map(({ flow }) => h("option", { value: flow, selected: flow === current }, flow)));
    choice.value = current;
    return h("label.choice", h("span", "Flow"), choice);
  },
};

api.askBy((refused) => askToken("Token", "The flows of this service are for whoever has a token.", { refused, lasting: true }));

let waiting = 0;
// Reads what there is; the views are shown once that is known. A service that is not there yet is asked again.
async function begin() {
  clearTimeout(waiting);
  if (!main.querySelector(".again")) replace(main, loading());
  try {
    const found = await api.flows();
    isOfDomain = found === null;
    flows = found ?? [];
    for (const tab of top.querySelectorAll("nav a")) tab.hidden = isOfDomain && tab.dataset.view !== "domains";
  } catch (error) {
    const heals = error.problem?.code !== "unauthorized";
    const said = trouble(error, begin, heals && "It is tried again by itself.");
    // Words that are there already are not told again.
    if (main.textContent !== said.textContent) replace(main, said);
    if (heals) waiting = setTimeout(begin, 2_000);
    return;
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
  if (!first) {
    main.focus({ preventScroll: true });
    // Before the view begins: it may have somewhere to scroll to.
    scrollTo(0, 0);
  }
  try {
    await next.begin(deeper, query);
  } catch (error) {
    if (view === next) replace(main, trouble(error, () => context.again()));
  }
}

function leave() {
  closeDialogs();
  view?.end();
  view = null;
}

const loading = () => h("div.loading", { role: "status" }, h("span.sr", "Loading"), h("span.shimmer.title"), h("span.shimmer.large"));

function trouble(error, again, more) {
  const { title, detail, code } = api.problemOf(error);
  return h("section.empty.again", { role: "alert" }, icon("alert"), h("h1", title), h("p", detail), more && h("p.muted", more), h("p.muted", h("code", code)), button("Try again", { icon: "restart", onclick: () => again() }));
}

const missing = (name) => h("section.empty", icon("search"),
  h("h1", name ? `There is no flow “${name}”` : "No flow is served"),
  h("p", name ? "It may have been renamed, or the address was mistyped." : "Name one with --graph when the service is started."),
  h("ul.links", flows.map(({ flow }) => h("li", h("a", { href: link("flow", [flow]) }, flow)))));

// Light, dark, or as the system says.
function themes() {
  const kinds = { auto: ["auto", "Colours: as the system says"], light: ["sun", "Colours: light"], dark: ["moon", "Colours: dark"] };
  const names = Object.keys(kinds);
  let current = names.includes(remembered.get("theme")) ? remembered.get("theme") : "auto";
  const apply = () => {
    document.documentElement.dataset.theme = current;
    const [sign, label] = kinds[current];
    toggle.setAttribute("aria-label", label);
    toggle.title = label;
    replace(toggle, icon(sign));
  };
  const toggle = signButton("Colours", "auto", () => {
    current = names[(names.indexOf(current) + 1) % names.length];
    remembered.set("theme", current);
    apply();
  });
  apply();
  return toggle;
}

// Whether the page hears from the service.
function connection() {
  const word = h("span.word", "Connecting");
  const element = h("span.connection", { role: "status" }, h("span.dot"), word);
  const banner = h("div.banner", { hidden: true, role: "region", "aria-label": "Connection" }, icon("alert"), h("p"), button("Give a token", { onclick: () => live.start() }));
  const tell = () => {
    element.dataset.state = live.state;
    setText(word, { connecting: "Connecting", live: "Live", lost: live.problem?.code === "unauthorized" ? "No token" : "Reconnecting" }[live.state]);
    banner.hidden = live.state !== "lost";
    document.documentElement.classList.toggle("stale", live.state === "lost");
    if (live.state !== "lost") return;
    const isRefused = live.problem?.code === "unauthorized";
    banner.querySelector("button").hidden = !isRefused;
    const why = live.problem ? `${live.problem.title.replace(/\.$/, "")}.` : "The connection to the service is lost.";
    replace(banner.querySelector("p"), why, isRefused ? " Nothing new is shown without a token. " : " It is tried again by itself. ", live.heard && ["What is shown is as of ", time(live.heard), "."]);
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
      h("a.brand", { href: "#/overview", "aria-label": "Tributary, the console" }, mark(), h("span", "Tributary")),
      h("nav", { "aria-label": "Views" }, tabs),
      h("div.aside", element, themes())),
    banner);
}

const mark = () => h("span.mark", { "aria-hidden": "true" });

header();
addEventListener("hashchange", () => { if (flows) route(); });
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, dialog")) return;
  const field = document.querySelector(".search");
  if (field) {
    event.preventDefault();
    field.focus();
  }
});
// Files were read again: what is shown may be another flow by now. A view that holds what somebody typed asks first.
live.addEventListener("release", async ({ changed }) => {
  flows = await api.flows().catch(() => flows) ?? [];
  if (view?.flow && !changed.has(view.flow.flow)) return;
  if (view?.changed && context.flowNamed(view.flow.flow)) view.changed();
  else if (view?.flow || !view || view instanceof OverviewView) await context.again();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
await begin();
