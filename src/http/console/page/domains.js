// The databases: a card each, alive.

import * as api from "./api.js";
import { button, h, icon, replace, s, setText } from "./dom.js";
import { withToken } from "./dialogs.js";
import { duration, plural, rate, time } from "./format.js";
import { live } from "./live.js";

const WINDOW = 120_000;
const WIDTH = 260;
const HEIGHT = 56;
const SIGNS = { ready: "check", degraded: "alert", down: "cross", starting: "restart", draining: "down", stopped: "cross" };

export class DomainsView {
  constructor(_, context) {
    this.context = context;
    this.cards = new Map();
    this.grid = h("div.cards", h("div.card.shimmer"), h("div.card.shimmer"));
    this.summary = h("p.lead", "Connecting to the service");
    this.element = h("section.view.domains-view", h("header.heading", h("div", h("h1", "Domains"), this.summary)), this.grid);
    this.onPulse = () => this.#pulse();
  }

  async begin([name]) {
    this.wanted = name;
    live.addEventListener("pulse", this.onPulse);
    if (live.heard) this.#pulse();
  }

  end() { live.removeEventListener("pulse", this.onPulse); }

  show([name]) {
    this.wanted = name;
    this.#point();
  }

  #pulse() {
    const names = [...live.domains.keys()];
    if (names.join() !== [...this.cards.keys()].join() || !this.grid.querySelector("article, .empty")) {
      const kept = this.cards;
      this.cards = new Map(names.map((name) => [name, kept.get(name) ?? new Card(name, this.context)]));
      replace(this.grid, names.length ? [...this.cards.values()].map((card) => card.element) : h("section.empty", icon("database"), h("h2", "No domains"), h("p", "No flow that is served asks a database.")));
      this.#point();
    }
    for (const [name, card] of this.cards) card.update(live.domains.get(name), live.past.get(name) ?? []);
    const well = [...live.domains.values()].filter(({ state }) => state === "ready").length;
    setText(this.summary, well === names.length ? `${plural(names.length, "database")}, all ready` : `${well} of ${plural(names.length, "database")} ready`);
  }

  // The card that the address names comes into sight.
  #point() {
    for (const [name, card] of this.cards) card.element.classList.toggle("chosen", name === this.wanted);
    this.cards.get(this.wanted)?.element.scrollIntoView({ block: "nearest" });
  }
}

class Card {
  constructor(name, context) {
    this.name = name;
    this.pill = h("span.pill", h("span.sign-place"), h("span.word"));
    this.since = h("span.since");
    this.rate = new Chart("Queries a second", ["rate", "failed"]);
    this.latency = new Chart("Latency", ["p95_us", "p50_us"]);
    this.pool = new Pool();
    this.facts = h("dl.pairs.wide");
    this.error = h("p.last-error");
    this.switching = h("ol.switch", { hidden: true, "aria-label": "Switch-over" });
    this.action = button("Restart", { icon: "restart", onclick: () => this.#restart() });
    this.action.setAttribute("aria-label", `Restart ${name}`);
    this.element = h("article.card", { class: `d${context.colour(name)}`, "aria-labelledby": `domain-${name}` },
      h("header", h("h2", { id: `domain-${name}` }, h("span.swatch"), name), this.pill),
      h("p.meta", this.since),
      h("div.charts", this.rate.element, this.latency.element),
      this.pool.element,
      this.facts,
      h("footer", h("div.tidings", this.error, this.switching), this.action));
  }

  update(domain, points) {
    if (this.state !== domain.state) {
      this.state = domain.state;
      this.pill.dataset.state = domain.state;
      replace(this.pill.firstChild, icon(SIGNS[domain.state] ?? "alert"));
      setText(this.pill.lastChild, domain.state);
      replace(this.since, "since ", time(domain.since), domain.server_version && ` · PostgreSQL ${domain.server_version.split(" ")[0]}`);
    }
    this.rate.update(points, { value: (point) => rate(point.rate), unit: "" });
    this.latency.update(points, { value: (point) => (point.p50_us === null ? "–" : duration(point.p50_us)), unit: "", axis: duration });
    this.pool.update(domain.pool);
    this.#facts(domain);
    this.action.disabled = this.busy || live.admin === false;
    this.action.title = live.admin === false ? "Set ADMIN_TOKEN, and open the console where the admin endpoints are, to restart domains" : "";
    const error = domain.last_error;
    if (this.lastError !== error?.at || !this.error.childNodes.length) {
      this.lastError = error?.at;
      replace(this.error, error ? [h("span.label", "Last error, ", time(error.at)), h("span.detail", error.message)] : [h("span.label", "Last error"), h("span.detail.muted", "none since the service was started")]);
    }
    if (this.restarts !== undefined && domain.restarts > this.restarts) this.#switched();
    this.restarts = domain.restarts;
  }

  #facts(domain) {
    const probe = domain.last_probe;
    const rows = [
      ["restarts", String(domain.restarts)],
      ["last probe", probe ? duration(probe.latency_us) : "none"],
      ["in flight", String(domain.in_flight)],
      ["tries again in", domain.retry_in_ms === undefined ? "–" : duration(domain.retry_in_ms * 1000)],
    ];
    if (!this.values) {
      this.values = rows.map(() => h("dd.num"));
      replace(this.facts, rows.map(([label], index) => [h("dt", label), this.values[index]]));
    }
    rows.forEach(([, value], index) => setText(this.values[index], value));
  }

  // Asks for a new actor, and tells how one takes the place of the other.
  async #restart() {
    this.busy = true;
    this.action.disabled = true;
    let begun = false;
    try {
      await withToken(`A restart of ${this.name} puts a new actor with new connections in the place of the present one. No request fails for it.`, (token) => {
        begun = true;
        this.#steps(["done", "A new actor connects"], ["now", "It takes over"], ["next", "The old one finishes and goes"]);
        return api.restart(this.name, token).then(() => this.#done());
      });
    } catch (error) {
      const { title, detail } = error.problem ?? { title: "The restart failed", detail: String(error) };
      this.#steps(["failed", `${title}: ${detail}`]);
      begun = false;
    }
    if (!begun && this.switching.querySelector("[data-step=now]")) this.#hush();
    this.busy = false;
    this.action.disabled = false;
  }

  #switched() {
    if (this.switching.hidden || !this.switching.querySelector("[data-step=now]")) return;
    this.#steps(["done", "A new actor connected"], ["done", "It took over"], ["now", "The old one finishes and goes"]);
  }

  // What was told stays for a while, then the last error has its place again.
  #done() {
    this.#steps(["done", "A new actor connected"], ["done", "It took over"], ["done", "The old one is gone"]);
    this.rest = setTimeout(() => this.#hush(), 10_000);
  }

  #hush() {
    this.switching.hidden = true;
    this.error.hidden = false;
  }

  #steps(...steps) {
    clearTimeout(this.rest);
    this.switching.hidden = false;
    this.error.hidden = true;
    replace(this.switching, steps.map(([state, text]) => h("li", { "data-step": state }, text)));
  }
}

// A small chart of the last two minutes.
class Chart {
  constructor(title, series) {
    this.series = series;
    this.now = h("span.now.num", "–");
    this.peak = h("span.peak.num");
    this.lines = series.map((name) => s("path.series", { class: name }));
    this.area = s("path.area");
    this.svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
      s("path.base", { d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }), this.area, this.lines);
    this.title = title;
    this.element = h("figure.chart", h("figcaption", h("span.label", title), this.now), h("div.plot", this.svg, this.peak));
  }

  update(points, { value, unit, axis = rate }) {
    const newest = points.at(-1);
    const known = points.flatMap((point) => this.series.map((name) => point[name]).filter((number) => number !== null));
    const top = nice(Math.max(...known, 0));
    const end = newest?.t ?? Date.now();
    const x = (t) => WIDTH - ((end - t) / WINDOW) * WIDTH;
    const y = (number) => HEIGHT - 1 - (number / top) * (HEIGHT - 6);
    this.series.forEach((name, index) => this.lines[index].setAttribute("d", path(points, name, x, y)));
    this.area.setAttribute("d", area(points, this.series[0], x, y));
    setText(this.now, newest ? `${value(newest)}${unit}` : "–");
    setText(this.peak, known.some((number) => number > 0) ? axis(top) : "");
    this.svg.setAttribute("aria-label", newest ? `${this.title}: now ${value(newest)}${unit}, at most ${axis(Math.max(...known, 0))} within two minutes` : `${this.title}: nothing yet`);
  }
}

// The end of an axis: 1, 2 or 5 of some power of ten.
function nice(number) {
  if (number <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number) ?? number;
}

// Stretches of points that follow each other; a second without a value is a gap.
function stretches(points, name) {
  const all = [[]];
  for (const point of points) {
    // No failures are no line.
    if (point[name] === null || (name === "failed" && point[name] === 0)) all.push([]);
    else all.at(-1).push(point);
  }
  return all.filter((stretch) => stretch.length);
}

function path(points, name, x, y) {
  return stretches(points, name).map((stretch) => {
    const [first] = stretch;
    const start = `M${x(first.t).toFixed(1)} ${y(first[name]).toFixed(1)}`;
    if (stretch.length === 1) return `${start}h2.5`;
    return start + stretch.slice(1).map((point) => `L${x(point.t).toFixed(1)} ${y(point[name]).toFixed(1)}`).join("");
  }).join("");
}

function area(points, name, x, y) {
  return stretches(points, name).filter((stretch) => stretch.length > 1).map((stretch) => {
    const line = stretch.map((point) => `L${x(point.t).toFixed(1)} ${y(point[name]).toFixed(1)}`).join("");
    return `M${x(stretch[0].t).toFixed(1)} ${HEIGHT}${line}L${x(stretch.at(-1).t).toFixed(1)} ${HEIGHT}Z`;
  }).join("");
}

// The connections of a pool: used, idle, and those that might be made.
class Pool {
  constructor() {
    this.used = h("span.used");
    this.idle = h("span.idle");
    this.words = h("span.num");
    this.waiting = h("span.num.waiting");
    this.element = h("div.pool", h("div.pool-words", h("span.label", "Pool"), this.words, this.waiting), h("div.gauge", { "aria-hidden": "true" }, this.used, this.idle));
  }

  update({ max, size, idle, waiting }) {
    const used = Math.max(size - idle, 0);
    this.used.style.setProperty("width", `${(100 * used) / max}%`);
    this.idle.style.setProperty("width", `${(100 * Math.min(idle, max)) / max}%`);
    setText(this.words, `${used} in use, ${idle} idle, of ${max}`);
    setText(this.waiting, `${waiting} waiting`);
    this.waiting.classList.toggle("some", waiting > 0);
  }
}
