// The databases and services: a card each, alive.

import * as api from "./api.js";
import { Chart, Pool } from "./chart.js";
import { announce, button, h, icon, isBusy, replace, setBusy, setText } from "./dom.js";
import { withToken } from "./dialogs.js";
import { duration, plural, rate, time } from "./format.js";
import { live } from "./live.js";

const SIGNS = { ready: "check", degraded: "alert", down: "cross", starting: "restart", draining: "down", stopped: "cross" };

export class DomainsView {
  constructor(_, context) {
    this.context = context;
    this.cards = new Map();
    this.grid = h("div.cards", h("div.card.shimmer"), h("div.card.shimmer"));
    this.summary = h("p.lead", "Connecting to the service");
    this.served = h("div.served");
    this.unknown = h("p.notice", { hidden: true, role: "status" });
    this.element = h("section.view.domains-view", h("header.heading", h("div", h("h1", "Domains"), this.summary)), this.unknown, this.grid, this.served);
    this.onPulse = () => this.#pulse();
  }

  async begin([name]) {
    this.wanted = name;
    live.addEventListener("pulse", this.onPulse);
    if (live.heard) this.#pulse();
    if (this.context.isOfDomain()) replace(this.served, nodesPart(await api.nodes()));
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
    const services = [...live.domains.values()].filter(({ service }) => service).length;
    const all = [names.length > services && plural(names.length - services, "database"), services > 0 && plural(services, "service")].filter(Boolean).join(" and ");
    setText(this.summary, well === names.length ? `${all}, all ready` : `${well} of ${all} ready`);
  }

  // The card that the address names comes into sight.
  #point() {
    for (const [name, card] of this.cards) card.element.classList.toggle("chosen", name === this.wanted);
    this.unknown.hidden = !this.wanted || !this.cards.size || this.cards.has(this.wanted);
    if (!this.unknown.hidden) replace(this.unknown, icon("alert"), h("span", `There is no domain “${this.wanted}”: it may have been renamed, or the address was mistyped.`));
    this.cards.get(this.wanted)?.element.scrollIntoView({ block: "nearest" });
  }
}

// The nodes for which a service of one domain answers.
function nodesPart(nodes) {
  const typed = ({ name, type }, index) => [index > 0 && ", ", h("code", name), h("span.muted", ` ${type}`)];
  return h("section.part.card",
    h("header.part-head", h("h2", "Answers for"), h("p.muted", plural(Object.keys(nodes).length, "node"))),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "The nodes" }, h("table.plain",
      h("thead", h("tr", ["node", "is given", "gives"].map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", Object.entries(nodes).map(([name, { params, columns }]) => h("tr", h("th", { scope: "row" }, h("code", name)), h("td", params.join(", ") || "nothing"), h("td", columns.map(typed))))))));
}

class Card {
  constructor(name, context) {
    this.name = name;
    this.pill = h("span.pill", h("span.sign-place"), h("span.word"));
    this.since = h("span.since");
    this.rate = new Chart("Queries a second", { rate: "all", failed: "failed" }, { value: (point) => rate(point.rate) });
    this.latency = new Chart("Latency", { p95_us: "p95", p50_us: "p50" }, { value: (point) => (point.p50_us === null ? null : duration(point.p50_us)), axis: duration });
    this.pool = new Pool();
    this.facts = h("dl.pairs.wide");
    this.error = h("p.last-error");
    this.primary = h("p.notice", { hidden: true });
    this.switching = h("ol.switch", { hidden: true, "aria-label": "Switch-over" });
    this.action = button("Restart", { icon: "restart", quiet: true, onclick: () => { if (!isBusy(this.action)) this.#restart(); } });
    this.action.setAttribute("aria-label", `Restart ${name}`);
    this.element = h("article.card", { class: `d${context.colour(name)}`, "aria-labelledby": `domain-${name}` },
      h("header", h("h2", { id: `domain-${name}` }, h("span.swatch"), name), this.pill),
      h("div.meta", this.since, this.action),
      this.error,
      h("div.charts", this.rate.element, this.latency.element),
      this.pool.element,
      this.primary,
      this.facts,
      this.switching);
  }

  update(domain, points) {
    this.#state(domain);
    this.rate.update(points);
    this.latency.update(points);
    this.pool.update(domain.pool);
    this.#facts(domain);
    setBusy(this.action, Boolean(this.restarting) || live.admin === false);
    this.action.title = live.admin === false ? "Set ADMIN_TOKEN, and open the console where the admin endpoints are, to restart domains" : "";
    if (this.restarting && domain.restarts > this.restarting.restarts) this.#steps("it took over");
    this.restarts = domain.restarts;
  }

  // The state, since when, and what went wrong last: each as it is now.
  #state({ state, since, server_version: version, service, staleness, last_error: error }) {
    if (this.element.dataset.state !== state) {
      this.element.dataset.state = state;
      this.pill.dataset.state = state;
      replace(this.pill.firstChild, icon(SIGNS[state] ?? "alert"));
      setText(this.pill.lastChild, state);
    }
    const meta = `${state} ${since} ${version} ${service} ${staleness?.primary_error}`;
    if (this.meta !== meta) {
      this.meta = meta;
      replace(this.since, "since ", time(since), version && ` · PostgreSQL ${version.split(" ")[0]}`, service && [" · ", h("span.chip", "service"), ` ${service}`]);
      this.primary.hidden = !staleness?.primary_error;
      replace(this.primary, icon("alert"), h("span", `The primary cannot be asked how old rows are: ${staleness?.primary_error}`));
    }
    const told = error ? `${error.at} ${error.message}` : "none";
    if (this.told === told) return;
    this.told = told;
    replace(this.error, error ? [h("span.label", "Last error, ", time(error.at)), h("span.detail", error.message)] : [h("span.label", "Last error"), h("span.detail.muted", "none")]);
  }

  #facts(domain) {
    const probe = domain.last_probe;
    const isDown = domain.state === "down";
    const rows = [
      ["restarts", String(domain.restarts)],
      ["last probe", isDown ? "failed" : probe ? duration(probe.latency_us) : "none"],
      ["in flight", String(domain.in_flight)],
      ["tries again in", domain.retry_in_ms === undefined ? "–" : duration(domain.retry_in_ms * 1000)],
      // What only some domains have: a role that writes effects, a limit for the age of rows.
      domain.write_pool && ["writing", `${domain.write_pool.size - domain.write_pool.idle} of ${domain.write_pool.max}`],
      domain.write_pool && ["effects waiting", String(domain.write_pool.waiting)],
      domain.staleness && ["rows older by", domain.staleness.rows_may_be_older_by_ms === undefined ? "unknown" : duration(domain.staleness.rows_may_be_older_by_ms * 1000)],
      domain.staleness && ["older at most", duration(domain.staleness.max_ms * 1000)],
    ].filter(Boolean);
    const labels = rows.map(([label]) => label).join();
    if (this.labels !== labels) {
      this.labels = labels;
      this.values = rows.map(() => h("dd.num"));
      replace(this.facts, rows.map(([label], index) => [h("dt", label), this.values[index]]));
    }
    rows.forEach(([, value], index) => setText(this.values[index], value));
  }

  // Asks for a new actor, and tells how one takes the place of the other: what is not known to be done is not said to be.
  async #restart() {
    setBusy(this.action, true);
    let isDone = false;
    try {
      const answer = await withToken(`A restart of ${this.name} puts a new actor with new connections in the place of the present one. No request fails for it.`, (token) => {
        this.restarting = { restarts: this.restarts };
        this.#steps("it connects");
        // A token that is not good leaves nothing behind.
        return api.restart(this.name, token).finally(() => { this.restarting = null; });
      });
      isDone = Boolean(answer);
      if (isDone) this.#steps("the old one is gone");
      else this.#hush();
    } catch (error) {
      const { title, detail } = api.problemOf(error);
      this.#show([["failed", [title, detail].filter(Boolean).join(": ")]]);
    } finally {
      this.restarting = null;
      setBusy(this.action, live.admin === false);
    }
    // What was told stays for a while.
    if (isDone) this.rest = setTimeout(() => this.#hush(), 10_000);
  }

  #steps(reached) {
    const all = { "it connects": ["A new actor connects", "A new actor connected"], "it took over": ["It takes over", "It took over"], "the old one is gone": ["The old one finishes and goes", "The old one is gone"] };
    const at = Object.keys(all).indexOf(reached);
    const isOver = at === 2;
    // The first step is under way until the second is seen to be done.
    this.#show(Object.values(all).map(([now, done], index) => (isOver || (at > 0 && index <= at) ? ["done", done] : [index === (at === 0 ? 0 : at + 1) ? "now" : "next", now])));
  }

  #show(steps) {
    clearTimeout(this.rest);
    this.switching.hidden = false;
    this.error.classList.add("behind");
    replace(this.switching, steps.map(([state, text]) => h("li", { "data-step": state }, text)));
    announce(`${this.name}: ${(steps.find(([state]) => state === "now" || state === "failed") ?? steps.at(-1))[1]}`);
  }

  #hush() {
    clearTimeout(this.rest);
    this.switching.hidden = true;
    this.error.classList.remove("behind");
    replace(this.switching);
  }
}
