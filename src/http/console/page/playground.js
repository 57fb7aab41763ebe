// A decision made by hand: inputs, the answer with its anatomy, and what would be if facts were others.

import * as api from "./api.js";
import { answerPart, changes, effectPart, factsPart, outcome, rulesPart, timeline, tried } from "./anatomy.js";
import { announce, button, copyButton, h, icon, isBusy, replace, setBusy, setText, signButton } from "./dom.js";
import { showText, withToken } from "./dialogs.js";
import { flipPart, flipWords } from "./flip.js";
import { alarms } from "./flow.js";
import { choice, Form, number } from "./form.js";
import { plain, prose, shown } from "./format.js";
import { Graph } from "./graph.js";
import { compact, computable, isNum, parse } from "./json.js";
import { live } from "./live.js";
import { placed, Placing } from "./placing.js";

// In an address: what is supposed begins so. No input has a dot in its name.
const SET = "set.";

export class PlaygroundView {
  constructor(flow, context) {
    this.flow = flow;
    this.context = context;
    this.inputs = new Form(flow.inputs, flow.decimals);
    // By fact: what is supposed, and what it is otherwise.
    this.supposed = new Map();
    // The last plain decision, to which others are compared.
    this.base = null;
    this.result = null;
    // What is under way is dropped where something else was asked meanwhile.
    this.turn = 0;
    // An input may be called so as well; the sign is in no name.
    this.marker = Object.hasOwn(flow.inputs, "run") ? "run!" : "run";
    this.run = h("button.button.primary.large", { type: "submit" }, icon("play"), h("span", "Run"));
    this.rows = new Map();
    this.list = h("ul");
    this.supposing = h("section.supposing", { hidden: true, "aria-label": "What if" }, h("h2", "What if"), this.list);
    this.writing = h("div.writing");
    this.form = h("form.inputs", { novalidate: true, "aria-label": "Inputs", onsubmit: (event) => { event.preventDefault(); if (!isBusy(this.run)) this.decide(); } },
      this.inputs.elements, this.supposing, this.writing, h("div.row", this.run));
    this.news = h("div.news", { role: "status" });
    this.outcome = h("div.verdict-place");
    this.changes = h("div.changes-place");
    this.stage = h("div.stage", h("div.shimmer.large"));
    this.parts = h("div.parts");
    this.element = h("section.view.play-view",
      h("header.heading",
        h("div", h("h1", "Playground"), h("p.lead", flow.description ?? `Decisions of ${flow.flow}`)),
        h("div.facts", context.chooser(flow.flow, "play"), h("code.path", "POST ", flow.path))),
      this.news,
      h("div.play", h("div.play-side", this.form), h("div.play-main", this.outcome, this.changes, this.stage, this.parts)));
    this.onPulse = () => this.graph?.alarms(alarms());
  }

  async begin(_, query) {
    this.#invite();
    this.#fill(query);
    const [picture, details] = await Promise.all([api.picture(this.flow.flow), api.flow(this.flow.flow)]);
    if (this.ended) return;
    this.details = details;
    if (details.effects.length > 0) {
      this.placing = new Placing(details, () => this.#label());
      replace(this.writing, this.placing.element);
      this.placing.suppose(this.supposed.size > 0);
    }
    this.graph = new Graph(computable(picture), {
      colour: this.context.colour,
      label: `The path of the decision through ${this.flow.flow}`,
      whole: true,
      // Whoever walks through what a search found stays at the graph.
      select: (id, { stays = false } = {}) => { if (!stays) this.#jump(id); },
    });
    replace(this.stage, this.graph.element);
    this.graph.attach();
    live.addEventListener("pulse", this.onPulse);
    this.onPulse();
    if (query.has(this.marker)) await this.decide();
  }

  end() {
    this.ended = true;
    live.removeEventListener("pulse", this.onPulse);
    this.graph?.detach();
  }

  // The same flow, asked otherwise: what the address does not say is as at the beginning.
  show(_, query) {
    this.turn += 1;
    this.#fill(query);
    this.inputs.wrong([]);
    this.placing?.off();
    this.result = null;
    setBusy(this.run, false);
    this.element.classList.remove("deciding");
    this.#invite();
    if (!this.graph) return;
    this.#light(null);
    if (query.has(this.marker)) this.decide();
  }

  #invite() {
    replace(this.outcome, h("div.waiting-for", h("p", "Fill in the inputs and run the flow: the answer comes with all that led to it.")));
    replace(this.changes);
    replace(this.parts);
  }

  #fill(query) {
    this.inputs.write(query);
    this.supposed.clear();
    for (const [name, text] of query) {
      if (!name.startsWith(SET)) continue;
      let value = text;
      try { value = parse(text); } catch { /* A text without its quotes. */ }
      this.supposed.set(name.slice(SET.length), { value, was: value, text: plain(value), isFromAddress: true });
    }
    replace(this.list);
    this.rows.clear();
    this.hints = new Map();
    this.#showSupposed();
  }

  #set() {
    return Object.fromEntries([...this.supposed].map(([fact, { value }]) => [fact, value]));
  }

  // Files were read again: what is shown, and typed, stays until its reader wants the new.
  changed() {
    const renew = () => {
      this.#remember(false);
      this.context.again();
    };
    replace(this.news, h("p.notice", icon("alert"), h("span", "The flow's files were read again: what is shown may be of the earlier ones."), button("Show the new flow", { icon: "restart", onclick: renew })));
  }

  async decide() {
    this.turn += 1;
    const turn = this.turn;
    const isLate = () => this.ended || turn !== this.turn;
    const [input, set] = [this.inputs.read(), this.#set()];
    const supposes = Object.keys(set).length > 0;
    const key = supposes ? null : this.placing?.key ?? null;
    this.#remember(true);
    this.inputs.wrong([]);
    setBusy(this.run, true);
    this.element.classList.add("deciding");
    try {
      // What changes is told against the same inputs, or the inputs' share in it would be taken for the supposition's.
      const isKnown = this.base && compact(this.base.input) === compact(input);
      if (!supposes || !isKnown) {
        const base = await this.#ask(input, {}, key);
        if (isLate()) return;
        this.base = base;
      }
      // Inputs that do not fit are told before anybody is asked for a token.
      const result = supposes && !this.base.problem?.errors ? await this.#ask(input, set) : this.base;
      if (isLate() || !result) return;
      this.result = result;
      this.#render();
      // On a phone the answer is below the inputs: it is what is read next.
      if (matchMedia("(max-width: 640px)").matches) this.outcome.scrollIntoView({ block: "start" });
      // What may have been written is asked for with the same key.
      if (key !== null && !this.#placed()?.isOpen) this.placing.off();
    } finally {
      if (!isLate()) {
        setBusy(this.run, false);
        this.element.classList.remove("deciding");
      }
    }
  }

  // A decision or why there is none; null without the token that it needs.
  async #ask(input, set, key = null) {
    const supposes = Object.keys(set).length > 0;
    let begun = performance.now();
    const timed = (token) => {
      begun = performance.now();
      return api.decide(this.flow.path, input, set, { token, key });
    };
    let result;
    try {
      const answer = supposes ? await withToken("Supposing facts needs the admin token.", timed) : await timed(null);
      if (!answer) return null;
      result = { answer: answer.body, id: answer.id, ...answer.kept };
    } catch (error) {
      const problem = api.problemOf(error);
      result = { problem, id: problem.request_id, ...error.kept };
    }
    return { ...result, input, set, key, there_and_back: performance.now() - begun };
  }

  // What a search around the decision that is shown says of a fact; null without the token that it needs.
  async #flip(fact) {
    const { input, set } = this.result;
    try {
      const flip = await withToken("The search replaces facts, which needs the admin token.", (token) => api.flip(this.flow.path, input, set, fact, token));
      return flip && flipWords(flip);
    } catch (error) {
      const { title, detail } = api.problemOf(error);
      return h("p.notice.bad", icon("alert"), h("span", `${title}: `, prose(detail ?? "")));
    }
  }

  // Puts what was asked into the address, so that it can be sent to somebody.
  #remember(runs) {
    const query = new URLSearchParams(this.inputs.texts());
    for (const [fact, { value }] of this.supposed) query.set(SET + fact, compact(value));
    if (runs) query.set(this.marker, "1");
    this.context.rewrite(this.context.link("play", [this.flow.flow], query));
  }

  // What became of a request with a key.
  #placed() {
    const { answer } = this.result;
    const index = answer?.explain?.outcomes.findIndex(({ holds }) => holds) ?? -1;
    return placed(this.result, this.details.outcomes[index]);
  }

  #render() {
    const { result } = this;
    const { answer, problem } = result;
    const explain = answer?.explain ?? problem?.explain ?? null;
    this.inputs.wrong(problem?.errors ?? []);
    const writing = this.#placed();
    replace(this.outcome, outcome(result, explain, writing, this.#actions()));
    const said = answer ? `${answer.status}. ${answer.message ?? ""}` : `${problem.title}. ${problem.detail ?? ""}`;
    announce(writing?.word ? `${said} ${writing.word}.` : said);
    this.#light(explain);
    const supposes = Object.keys(result.set).length > 0;
    replace(this.changes, supposes && changes(this.base, result));
    const states = new Map([...this.parts.querySelectorAll("details[data-key]")].map((details) => [details.dataset.key, details.open]));
    replace(this.parts,
      explain && timeline(explain, this.context.colour),
      answer && answerPart(answer, this.context.colour),
      explain?.effect && effectPart(explain.effect, this.details, result.key, this.context),
      explain && tried(explain, Boolean(answer)),
      answer && explain && live.admin !== false && flipPart(explain, result.input, (fact) => this.#flip(fact)),
      explain && rulesPart(explain, this.details),
      explain && factsPart(explain, (fact, value) => this.suppose(fact, value), this.supposed, live.admin !== false));
    // What somebody opened stays open.
    for (const details of this.parts.querySelectorAll("details[data-key]")) if (states.has(details.dataset.key)) details.open = states.get(details.dataset.key);
    this.#showSupposed();
    this.#showWas();
  }

  // What an address supposes is otherwise something else, which is known once that has been decided.
  #showWas() {
    const explain = this.base?.answer?.explain ?? this.base?.problem?.explain;
    for (const [fact, hint] of this.hints) {
      const [owner, ...path] = fact.split(".");
      const value = path.reduce((at, name) => at?.[name], explain?.nodes.find(({ node }) => node === owner)?.value);
      if (path.length && value !== undefined) replace(hint, "is ", shown(value));
    }
  }

  #actions() {
    const { input, set, key } = this.result;
    return h("div.row.actions",
      copyButton("Copy as curl", () => api.curl(this.flow.path, input, set, key), { sign: "terminal" }),
      button("Save as flow test", { icon: "test", quiet: true, onclick: () => this.#saveTest() }),
      copyButton("Copy link", () => location.href, { sign: "link" }));
  }

  async #saveTest() {
    const { input, set } = this.result;
    const needsToken = Object.keys(set).length > 0 || this.details.redacts;
    const ask = (token) => api.asTest(this.flow.flow, input, set, token);
    try {
      const text = needsToken ? await withToken("This flow test holds rows as they are, or supposed facts: it needs the admin token.", ask) : await ask(null);
      if (text === null || this.ended) return;
      const name = `${this.flow.flow}.test.yaml`;
      showText("Flow test", ["The decision, made once more, with the rows it was made from. Keep it beside the other tests, such as tests/flows/", name, ", and run it with: tributary test"], { text, language: "yaml", name, type: "application/yaml" });
    } catch (error) {
      const { title, detail } = api.problemOf(error);
      if (!this.ended) showText("No flow test could be made", detail ?? "", { text: title, language: "yaml" });
    }
  }

  #light(explain) {
    const nodes = explain?.nodes ?? [];
    this.graph.light(explain && new Map(nodes.map(({ node, state }) => [node, state])), explain?.outcomes.findIndex(({ holds }) => holds));
    this.graph.times(new Map(nodes.filter(({ took_us: took }) => took !== undefined).map((node) => [node.node, Number(node.took_us)])));
  }

  #jump(id) {
    const target = this.parts.querySelector(`[data-node="${CSS.escape(id)}"]`);
    if (target) {
      const folded = target.closest("details");
      if (folded) folded.open = true;
      target.scrollIntoView({ block: "center" });
      (target.querySelector("summary") ?? target).focus?.({ preventScroll: true });
    } else location.hash = this.context.link("flow", [this.flow.flow, id]);
  }

  // Supposes that a fact has another value; what it is now is where the change begins.
  suppose(fact, value) {
    if (!this.supposed.has(fact)) this.supposed.set(fact, { value, was: value, text: plain(value) });
    this.#showSupposed();
    const field = document.getElementById(`suppose-${fact}`);
    field?.focus();
    field?.select?.();
    this.supposing.scrollIntoView({ block: "nearest" });
  }

  // Rows that stay are left as they are: somebody may be typing there.
  #showSupposed() {
    this.supposing.hidden = this.supposed.size === 0;
    const supposes = this.supposed.size > 0;
    if (supposes !== Boolean(this.placing?.supposes)) this.placing?.suppose(supposes);
    this.#label();
    for (const [fact, row] of this.rows) {
      if (this.supposed.has(fact)) continue;
      row.remove();
      this.rows.delete(fact);
    }
    for (const [fact, supposition] of this.supposed) {
      if (this.rows.has(fact)) continue;
      const row = this.#row(fact, supposition);
      this.rows.set(fact, row);
      this.list.append(row);
    }
    this.graph?.suppose(new Set([...this.supposed.keys()].map((fact) => fact.split(".")[0])));
  }

  #label() {
    setText(this.run.lastChild, this.supposed.size > 0 ? "Re-evaluate" : (this.placing?.key ?? null) === null ? "Run" : "Run and write");
  }

  #row(fact, supposition) {
    const id = `suppose-${fact}`;
    const { was, text } = supposition;
    const isWhole = !fact.includes(".") || (was !== null && typeof was === "object" && !isNum(was));
    // A null says nothing of its kind: whoever replaces it says whether 123 is a number or a text.
    const kind = was === null && !isWhole ? choice(`${id}-kind`, ["null", "text", "number", "boolean"], "null", { boolean: "true or false" }) : null;
    const field = typeof was === "boolean" ? choice(id, ["true", "false"], text) : isWhole ? h("textarea", { id, rows: "5", spellcheck: "false" }) : h("input", { id, type: "text", autocomplete: "off", spellcheck: "false" });
    field.value = text;
    kind?.setAttribute("aria-label", `Kind of ${fact}`);
    const take = (typed) => {
      if (kind && typed) kind.value = this.#kindOf(fact, field.value);
      supposition.value = kind ? asKind(field.value, kind.value) : isWhole ? whole(field.value) : alike(field.value, was);
      supposition.text = field.value;
    };
    field.addEventListener("input", () => take(true));
    kind?.addEventListener("change", () => take(false));
    const remove = signButton(`Do not suppose ${fact}`, "undo", () => {
      this.supposed.delete(fact);
      this.#showSupposed();
      this.run.focus();
    });
    const hint = h("p.hint", !isWhole && !supposition.isFromAddress && ["is ", shown(was)]);
    if (supposition.isFromAddress) this.hints.set(fact, hint);
    return h("li", h("label", { for: id }, h("code", fact)), h("div.row", field, kind, remove), hint);
  }

  // What a text that is typed for a null is meant as: what the fact's type says, or else what it looks like.
  #kindOf(fact, text) {
    const [owner, ...path] = fact.split(".");
    const node = this.details?.nodes.find(({ id }) => id === owner);
    const type = (node?.columns ?? node?.facts ?? []).find(({ name }) => name === path.join("."))?.type ?? (owner === "input" ? this.flow.inputs[path.join(".")]?.type : undefined);
    if (text.trim() === "" || text.trim() === "null") return text.trim() ? "null" : "text";
    if (/^(text|date|timestamp|uuid)/.test(type ?? "")) return "text";
    if (["true", "false"].includes(text.trim())) return "boolean";
    return number(text) ? "number" : "text";
  }
}

// A value of the kind that is there now, where what was typed can be one.
function alike(text, was) {
  if (typeof was === "boolean") return text === "true";
  if (text.trim() === "null") return null;
  return (isNum(was) && number(text)) || text;
}

function asKind(text, kind) {
  if (kind === "null") return null;
  if (kind === "boolean") return text.trim() === "true";
  return (kind === "number" && number(text)) || text;
}

// Rows, or a list, as JSON; what is none is told by the service.
function whole(text) {
  try { return parse(text); } catch { return text; }
}
