// The first view: what this service decides, in the words of its flows, and whether it is well.

import * as api from "./api.js";
import { h, icon, replace, setText } from "./dom.js";
import { plural, time } from "./format.js";
import { live } from "./live.js";

// A domain in one of these states answers nothing.
const SILENT = new Set(["starting", "down", "draining", "stopped"]);

export class OverviewView {
  constructor(_, context) {
    this.context = context;
    this.cards = new Map(context.flows().map((flow) => [flow.flow, new FlowCard(flow, context)]));
    this.sign = h("span.sign-place");
    this.word = h("strong.word");
    this.more = h("span.more");
    this.health = h("p.health", { role: "status" }, this.sign, h("span", this.word, " ", this.more));
    const decides = this.cards.size === 1 ? "What this service decides" : `What this service decides: ${plural(this.cards.size, "flow")}`;
    this.element = h("section.view.overview",
      h("header.heading", h("div", h("h1", decides), this.health)),
      h("div.flow-cards", this.cards.size ? [...this.cards.values()].map(({ element }) => element) : h("section.empty", icon("search"), h("h2", "No flow is served"), h("p", "Name one with --graph when the service is started."))));
    this.onPulse = () => this.#pulse();
  }

  async begin() {
    live.addEventListener("pulse", this.onPulse);
    this.#pulse();
    await Promise.all([...this.cards].map(async ([name, card]) => card.describe(await api.flow(name))));
    if (!this.ended) this.#pulse();
  }

  show() {}

  end() {
    this.ended = true;
    live.removeEventListener("pulse", this.onPulse);
  }

  // One line: all is well, or what is not and which flows it keeps from being decided.
  #pulse() {
    const domains = [...live.domains.values()];
    for (const card of this.cards.values()) card.pulse();
    if (!live.heard) return this.#tell("unknown", "alert", "Connecting", "to the service.");
    const unwell = domains.filter(({ state }) => state !== "ready");
    const stopped = [...this.cards].filter(([, card]) => card.missing.length > 0).map(([name]) => name);
    const count = plural(domains.length, "domain");
    if (!unwell.length) return this.#tell("well", "check", "All is well:", domains.length ? `${domains.length === 1 ? "its domain answers" : `all ${count} answer`}, and every flow can be decided.` : "every flow can be decided.");
    const named = unwell.map(({ domain, state }) => `${domain} is ${state}`).join(", ");
    if (!stopped.length) return this.#tell("partly", "alert", "Every flow can be decided,", `but ${named}.`);
    return this.#tell("unwell", "cross", stopped.length === this.cards.size ? "Nothing can be decided:" : `${stopped.join(", ")} cannot be decided:`, `${named}.`);
  }

  #tell(state, sign, word, more) {
    if (this.health.dataset.state !== state) {
      this.health.dataset.state = state;
      replace(this.sign, icon(sign));
    }
    setText(this.word, word);
    setText(this.more, more);
  }
}

// A message with the names of what is filled in: "Order {trim_scale(rule_engine.order_qty)}" is "Order order_qty".
function sentence(message) {
  return message.split(/(\{[^{}]*\})/).map((part) => {
    if (!part.startsWith("{")) return part;
    const [, name] = /[\w]+\.([\w.]+)/.exec(part) ?? [];
    return h("var", { title: part.slice(1, -1) }, name ?? part.slice(1, -1));
  });
}

class FlowCard {
  constructor(flow, context) {
    this.flow = flow;
    this.context = context;
    // The domains without which the flow is not decided, and which do not answer.
    this.missing = [];
    this.needed = [];
    const domains = [...new Set(flow.nodes.map(({ domain }) => domain).filter(Boolean))];
    this.chips = new Map(domains.map((name) => [name, h("span.state")]));
    this.outcomes = h("ul.ends", flow.outcomes.map((status) => h("li", h("strong", status))));
    this.last = h("p.muted.last");
    this.stopped = h("p.notice.bad", { hidden: true });
    const inputs = Object.keys(flow.inputs);
    this.element = h("article.card.flow-card", { "aria-labelledby": `flow-${flow.flow}` },
      h("header", h("h2", { id: `flow-${flow.flow}` }, flow.flow), h("code.path", "POST ", flow.path)),
      h("p.what", flow.description ?? "It has no description."),
      this.stopped,
      h("div.ends-part", h("h3", "It ends as"), this.outcomes),
      h("dl.pairs",
        inputs.length > 0 && [h("dt", "from"), h("dd", inputs.map((name, index) => [index > 0 && ", ", h("code", name)]))],
        domains.length > 0 && [h("dt", "asks"), h("dd.chips", domains.map((name) => h("a.chip.domain", { class: `d${context.colour(name)}`, href: context.link("domains", [name]) }, h("span.swatch"), name, this.chips.get(name))))]),
      this.last,
      h("div.row", h("a.button.primary", { href: context.link("play", [flow.flow]) }, icon("play"), h("span", "Try it")), h("a.button", { href: context.link("flow", [flow.flow]) }, h("span", "See how it decides"))));
  }

  // Which way it ends when, what is then said, and what is written.
  describe({ nodes, outcomes, effects }) {
    this.needed = nodes.filter((node) => node.kind === "query" && node.default === null).map(({ domain }) => domain);
    const written = (name) => effects.find((effect) => effect.name === name)?.domain;
    replace(this.outcomes, outcomes.map(({ status, when, message, effect, approval }) => h("li",
      h("strong", status), message ? h("span.said", " ", sentence(message)) : h("span.muted", when ? [" if ", h("code", when)] : " otherwise"),
      effect && h("span.writes", icon("edit"), `writes ${effect} to ${written(effect)}`, approval && ", after an approval where one is needed"))));
  }

  pulse() {
    for (const [name, chip] of this.chips) {
      const { state, service } = live.domains.get(name) ?? {};
      chip.dataset.state = state ?? "";
      setText(chip, [service && "service", state && state !== "ready" && state].filter(Boolean).join(", "));
    }
    this.missing = [...new Set(this.needed)].filter((name) => SILENT.has(live.domains.get(name)?.state));
    this.stopped.hidden = !this.missing.length;
    if (this.missing.length) replace(this.stopped, icon("alert"), h("span", `It cannot be decided while ${this.missing.join(", ")} does not answer.`));
    const last = live.flows?.[this.flow.flow]?.last;
    if (this.at === last?.at) return;
    this.at = last?.at;
    replace(this.last, last && ["Last decision that was looked at: ", h("strong", last.ending), ", ", time(last.at)]);
  }
}
