// A flow: its graph, and beside it whatever node is chosen.

import { decisionTable } from "./anatomy.js";
import * as api from "./api.js";
import { block, laidOut, numbered, wrapping } from "./code.js";
import { copyButton, h, icon, replace, signButton } from "./dom.js";
import { duration, plural, shown, time } from "./format.js";
import { Graph } from "./graph.js";
import { computable } from "./json.js";
import { live } from "./live.js";

const UNWELL = new Set(["down", "degraded", "starting", "stopped"]);

// Which domains are not well, as the graph is told.
export function alarms() {
  return new Map([...live.domains.values()].filter(({ state }) => UNWELL.has(state)).map(({ domain, state }) => [domain, state]));
}

export class FlowView {
  constructor(flow, context) {
    this.flow = flow;
    this.context = context;
    this.stage = h("div.stage", h("div.shimmer.large"));
    this.panel = h("aside.panel", { "aria-label": "Details", tabindex: "-1" });
    this.seen = h("p.seen");
    this.element = h("section.view.flow-view",
      h("header.heading",
        h("div", h("h1", flow.flow), h("p.lead", flow.description)),
        h("div.facts", context.chooser(flow.flow, "flow"), h("code.path", "POST ", flow.path),
          h("a.button.primary", { href: context.link("play", [flow.flow]) }, icon("play"), h("span", "Try it")))),
      h("div.split", h("div.graph-side", this.stage, this.seen), this.panel));
    this.onPulse = () => this.#pulse();
    this.onKey = (event) => {
      if (event.key === "Escape" && this.chosen && !document.querySelector("dialog[open]")) this.close();
    };
  }

  async begin(parts) {
    // Its place is kept while it is loading.
    this.element.classList.toggle("has-panel", Boolean(parts[0]));
    const [picture, details] = await Promise.all([api.picture(this.flow.flow), api.flow(this.flow.flow)]);
    // Whoever has gone elsewhere meanwhile is not called back.
    if (this.ended) return;
    const plainPicture = computable(picture);
    this.details = details;
    this.last = details.last;
    this.graph = new Graph(plainPicture, {
      colour: this.context.colour,
      label: `The flow ${this.flow.flow}, from its inputs to its outcomes`,
      select: (id, { stays = false } = {}) => this.#choose(id, stays),
    });
    replace(this.stage, this.graph.element);
    this.graph.attach();
    this.show(parts);
    live.addEventListener("pulse", this.onPulse);
    document.addEventListener("keydown", this.onKey);
    this.#pulse();
  }

  // The details of what is chosen are told and have the focus, unless it `stays` where it is; Escape leads back.
  #choose(id, stays) {
    this.leads = !stays;
    const hash = this.context.link("flow", [this.flow.flow, id]);
    if (location.hash === hash) this.#lead();
    else location.hash = hash;
  }

  #lead() {
    if (this.leads) this.panel.querySelector("h2")?.focus({ preventScroll: true });
    this.leads = false;
  }

  end() {
    this.ended = true;
    live.removeEventListener("pulse", this.onPulse);
    document.removeEventListener("keydown", this.onKey);
    this.graph?.detach();
  }

  show([id]) {
    if (!this.graph) return;
    this.chosen = id ?? null;
    this.graph.mark(this.chosen);
    const box = this.graph.picture.boxes.find((known) => known.id === id);
    this.panel.classList.toggle("open", Boolean(id));
    this.element.classList.toggle("has-panel", Boolean(id));
    if (!id) {
      replace(this.panel, h("div.hint", h("p", "Choose a node to see what it asks or applies."),
        h("p.muted", h("kbd", "/"), " finds one, ", h("kbd", "← ↑ ↓ →"), " walk, ", h("kbd", "Enter"), " opens."),
        h("p.muted", h("kbd", "+"), " ", h("kbd", "−"), " ", h("kbd", "0"), " zoom, or the wheel with ", h("kbd", "Ctrl"), ".")),
        this.details.effects.length > 0 && h("section.part", h("h2", "What decisions write"), h("p.muted", "Only for a request with an ", h("code", "Idempotency-Key"), ", once for each key."), this.details.effects.map((effect) => this.#effect(effect))));
      return;
    }
    this.timings = h("div.timings");
    this.shownTimings = null;
    replace(this.panel, box ? this.#describe(box) : this.#unknown(id));
    this.panel.scrollTop = 0;
    this.#showTimings();
    this.#lead();
    if (box && matchMedia("(max-width: 1000px)").matches) this.panel.scrollIntoView({ block: "start" });
  }

  close() {
    const id = this.chosen;
    location.hash = this.context.link("flow", [this.flow.flow]);
    this.graph.element.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
  }

  #unknown(id) {
    return [this.#head(id, null, null), h("p", `The flow has no node of this name. It may have been renamed.`)];
  }

  #head(title, kind, domain) {
    return h("header.panel-head",
      h("div", h("h2", { tabindex: "-1" }, title),
        h("p.chips", kind && h("span.chip", kind),
          domain && h("a.chip.domain", { class: `d${this.context.colour(domain)}`, href: this.context.link("domains", [domain]) }, h("span.swatch"), domain))),
      signButton("Close the details", "close", () => this.close()));
  }

  #describe(box) {
    if (box.kind === "input") return this.#inputs();
    if (box.kind === "outcome") return this.#outcome(Number(box.id.split(":")[1]));
    const node = this.details.nodes.find((known) => known.id === box.id);
    const feeds = this.details.nodes.filter((known) => known.depends_on.includes(node.id)).map((known) => known.id);
    return [
      this.#head(node.id, node.kind === "query" ? (node.method ? "request" : "query") : plural(node.rules.length, node.table ? "row" : "rule"), node.domain),
      node.description && h("p.description", node.description),
      this.timings,
      node.guards.map((guard) => section("Runs if", h("p.from", "coming from ", this.#link(guard.from)), block(guard.rule, "grl", "The condition"))),
      node.kind === "query" ? this.#query(node) : this.#rules(node),
      (node.depends_on.length > 0 || feeds.length > 0) && section("Connections",
        h("dl.pairs",
          node.depends_on.length > 0 && [h("dt", "waits for"), h("dd", this.#links(node.depends_on))],
          feeds.length > 0 && [h("dt", "feeds"), h("dd", this.#links(feeds))],
          h("dt", "stands in"), h("dd", h("code", node.place)))),
    ];
  }

  #link(id) { return h("a", { href: this.context.link("flow", [this.flow.flow, id]) }, id); }
  #links(ids) { return ids.map((id, index) => [index > 0 && ", ", this.#link(id)]); }

  #query(node) {
    const text = node.method
      ? section("Request", h("div.copied", wrapping(node.query, "json", `The request of ${node.id}`), copyButton("Copy", node.query)))
      : section("Query", h("div.copied", wrapping(laidOut(node.query), "sql", `The query of ${node.id}`), copyButton("Copy", node.query)));
    return [
      text,
      node.params.length > 0 && section("Parameters", table(["parameter", "from"], node.params.map((from, index) => [h("code.param", `$${index + 1}`), h("code", from)]))),
      columns("Columns", node.columns, node.redact),
      section("Answer", h("dl.pairs",
        h("dt", "rows"), h("dd", { one: "exactly one; none is the answer “not found”", optional: "one or none", many: "any number" }[node.rows]),
        h("dt", "coalesced"), h("dd", node.coalesce === "off" ? "never: each decision asks for itself" : "while its database is busy, equal and like queries go together"),
        node.timeout_ms && [h("dt", "time limit"), h("dd", `${node.timeout_ms} ms`)],
        h("dt", "without one"), h("dd", node.default === null ? "the decision fails" : ["these stand in, and the decision is degraded: ", shown(node.default)]))),
    ];
  }

  #rules(node) {
    const index = node.rules.map((rule) => {
      const [, file, line] = /^(.*):(\d+):\d+$/.exec(rule.place) ?? [];
      const jump = () => this.#jump(file, line);
      return h("li", h("button.rule-name", { type: "button", onclick: jump }, rule.rule), rule.description && h("span.muted", rule.description),
        h("span.salience", { title: "salience: higher ones are tried first" }, String(rule.salience)));
    });
    return [
      node.mappings.length > 0 && section("Mappings", table(["fact", "from"], node.mappings.map(({ fact, from }) => [h("code", fact), h("code", from)]))),
      node.starting_facts.length > 0 && section("Starts with", table(["fact", "value"], node.starting_facts.map(({ fact, value }) => [h("code", fact), shown(value)]))),
      node.aliases.length > 0 && section("Other names", table(["name", "of node"], node.aliases.map(({ alias, node: of }) => [h("code", alias), this.#link(of)]))),
      node.reads.length > 0 && section("Reads", h("p.codes", node.reads.map((fact) => h("code", fact)))),
      node.table ? section("Table", decisionTable(node.table)) : section(`Rules, in the order they are tried`, h("ol.rule-list", index)),
      !node.table && node.sources.map((source) => section(h("code", source.name),
        h("div.source", { "data-file": source.name }, numbered(source.text, "grl", source.name, Number(source.line))))),
      columns("Facts it gives", node.facts),
    ];
  }

  #jump(file, line) {
    const source = this.panel.querySelector(`.source[data-file="${CSS.escape(file)}"]`);
    source?.querySelectorAll(".marked").forEach((marked) => marked.classList.remove("marked"));
    const target = source?.querySelector(`[data-line="${CSS.escape(line)}"]`);
    target?.classList.add("marked");
    target?.scrollIntoView({ block: "center" });
  }

  #inputs() {
    const inputs = Object.entries(this.details.inputs);
    return [
      this.#head("input", plural(inputs.length, "input"), null),
      h("p.description", "What a request has to bring."),
      inputs.map(([name, field]) => section(h("code", name),
        field.description && h("p", field.description),
        h("dl.pairs", Object.entries(field).filter(([key]) => key !== "description").map(([key, value]) => [h("dt", key.replace("_", " ")), h("dd", shown(value))])))),
    ];
  }

  #outcome(number) {
    const outcome = this.details.outcomes[number];
    return [
      this.#head(outcome.status, `outcome ${number + 1} of ${this.details.outcomes.length}`, null),
      h("p.description", number === 0 ? "Tried first; the first whose condition holds is the answer." : "Tried where none before it holds."),
      section("When", outcome.when ? block(outcome.when, "grl", "The condition") : h("p", "Always: it has no condition.")),
      outcome.message && section("Message", h("p.message", outcome.message)),
      outcome.fields.length > 0 && section("Answer", table(["field", "is"], outcome.fields.map(([name, expression]) => [h("code", name), h("code", expression)]))),
      outcome.effect && section("Writes", h("p.muted", "Only for a request with an ", h("code", "Idempotency-Key"), ", once for each key."), this.#effect(this.details.effects.find(({ name }) => name === outcome.effect))),
    ];
  }

  // What an effect writes, where, and when it waits.
  #effect({ name, description, domain, statements, event }) {
    const uses = this.details.outcomes.filter(({ effect }) => effect === name);
    const rows = { one: "exactly one row", optional: "one row or none", many: "any number of rows" };
    return h("div.effect",
      h("p.chips", h("strong", h("code", name)), h("a.chip.domain", { class: `d${this.context.colour(domain)}`, href: this.context.link("domains", [domain]) }, h("span.swatch"), domain)),
      description && h("p", description),
      uses.map(({ status, approval }) => h("p", h("strong", status), approval ? [" writes it at once, unless ", h("code", approval), ": then it waits for approval."] : " writes it at once.")),
      statements.map((statement, index) => [
        wrapping(laidOut(statement.query), "sql", `Statement ${index + 1} of ${name}`),
        statement.params.length > 0 && table(["parameter", "is"], statement.params.map((from, place) => [h("code.param", `$${place + 1}`), h("code", from)])),
        h("p.muted", `It writes ${rows[statement.rows]}; otherwise nothing is written, and the decision is made again.`),
      ]),
      event && h("p", "It announces ", h("code", event.type), " of ", h("code", event.key), "."));
  }

  #pulse() {
    this.graph.alarms(alarms());
    const last = live.flows?.[this.flow.flow]?.last;
    if (last) this.last = last;
    this.#showTimings();
  }

  #showTimings() {
    if (!this.graph) return;
    const last = this.last;
    const key = last ? `${last.at}` : "none";
    if (this.shownTimings === key) return;
    this.shownTimings = key;
    if (!last) {
      replace(this.seen, "No decision has been looked at yet. ", h("a", { href: this.context.link("play", [this.flow.flow]) }, "Make one"), ".");
      return;
    }
    this.graph.times(new Map(last.nodes.filter((node) => node.start_us !== undefined).map((node) => [node.node, Number(node.took_us)])));
    replace(this.seen, "Times are those of the last decision that was looked at: ", h("strong", last.ending), " in ", h("span.num", duration(last.took_us)), ", ", time(last.at), ".");
    const node = last.nodes.find((known) => known.node === this.chosen);
    if (!this.timings || !node) return;
    replace(this.timings, timings(node, last));
  }
}

// How long a node took in a decision, and for what.
function timings(node, last) {
  if (node.start_us === undefined) return h("p.muted", `Last time: ${node.state.replace("_", " ")}, `, time(last.at));
  const figure = (label, value, kind) => h("div.figure", { class: kind }, h("span.label", label), h("span.num", value));
  return h("div.figures", { "aria-label": "Last timings" },
    figure("took", duration(node.took_us), "took"),
    node.wait_us !== undefined && figure("waiting", duration(node.wait_us), "wait"),
    node.query_us !== undefined && figure("querying", duration(node.query_us), "query"),
    node.rows !== undefined && figure("rows", String(node.rows)),
    node.fired !== undefined && figure("rules fired", String(node.fired)));
}

// Names with their types, where those are known before a row is read.
function columns(title, all, redacted = []) {
  if (!all.length) return null;
  const said = ({ name, type }) => [type === "any" ? null : type, redacted.includes(name) ? "redacted" : null].filter(Boolean).join(", ");
  return section(title, h("ul.codes", all.map((column) => h("li", h("code", column.name), said(column) && h("span.muted", ` ${said(column)}`)))));
}

const section = (title, ...content) => h("section.part", h("h3", title), content);

const table = (heads, rows) => h("div.scroll", { tabindex: "0", role: "region", "aria-label": heads.join(", ") }, h("table.plain",
  h("thead", h("tr", heads.map((head) => h("th", { scope: "col" }, head)))),
  h("tbody", rows.map((cells) => h("tr", cells.map((cell) => h("td", cell)))))));

export { section, table };
