// A decision made by hand: inputs, the answer with its anatomy, and what would be if facts were others.

import * as api from "./api.js";
import { answerPart, changes, factsPart, outcome, rulesPart, timeline, tried } from "./anatomy.js";
import { button, copyButton, h, icon, replace, signButton } from "./dom.js";
import { showText, withToken } from "./dialogs.js";
import { alarms } from "./flow.js";
import { plain, shown } from "./format.js";
import { Graph } from "./graph.js";
import { computable, isNum, Num } from "./json.js";
import { live } from "./live.js";

const NUMBER = /^-?\d+(\.\d+)?$/;

export class PlaygroundView {
  constructor(flow, context) {
    this.flow = flow;
    this.context = context;
    this.fields = new Map();
    // By fact: what is supposed, and what it is otherwise.
    this.supposed = new Map();
    this.base = null;
    this.result = null;
    this.run = h("button.button.primary.large", { type: "submit" }, icon("play"), h("span", "Run"));
    this.supposing = h("section.supposing", { hidden: true, "aria-label": "What if" });
    this.form = h("form.inputs", { novalidate: true, "aria-label": "Inputs", onsubmit: (event) => { event.preventDefault(); this.decide(); } },
      this.#inputs(), this.supposing, h("div.row", this.run));
    this.outcome = h("div.verdict-place", { "aria-live": "polite" });
    this.stage = h("div.stage");
    this.parts = h("div.parts");
    this.element = h("section.view.play-view",
      h("header.heading",
        h("div", h("h1", "Playground"), h("p.lead", flow.description ?? `Decisions of ${flow.flow}`)),
        h("div.facts", context.chooser(flow.flow, "play"), h("code.path", "POST ", flow.path))),
      h("div.play", h("div.play-side", this.form), h("div.play-main", this.outcome, this.stage, this.parts)));
    this.onPulse = () => this.graph?.alarms(alarms());
  }

  async begin(_, query) {
    replace(this.outcome, h("div.waiting-for", h("p", "Fill in the inputs and run the flow: the answer comes with all that led to it.")));
    const [picture, details] = await Promise.all([api.picture(this.flow.flow), api.flow(this.flow.flow)]);
    this.details = details;
    this.graph = new Graph(computable(picture), {
      colour: this.context.colour,
      label: `The path of the decision through ${this.flow.flow}`,
      select: (id) => this.#jump(id),
    });
    replace(this.stage, this.graph.element);
    this.graph.attach();
    live.addEventListener("pulse", this.onPulse);
    this.onPulse();
    this.show([], query);
  }

  end() {
    live.removeEventListener("pulse", this.onPulse);
    this.graph?.detach();
  }

  show(_, query) {
    for (const [name, field] of this.fields) if (query.has(name)) field.value = query.get(name);
    if (query.has("run") && this.graph && !this.result) this.decide();
  }

  #inputs() {
    const inputs = Object.entries(this.flow.inputs);
    if (!inputs.length) return h("p.muted", "The flow takes no inputs.");
    return inputs.map(([name, input]) => {
      const id = `input-${name}`;
      const field = control(id, input);
      this.fields.set(name, field);
      const hint = [input.description, input.required ? null : "optional", input.maximum && `at most ${input.maximum}`, input.minimum && `at least ${input.minimum}`, input.type.startsWith("list") && "a JSON list"].filter(Boolean).join(" · ");
      return h("div.field", h("label", { for: id }, h("span", name), h("span.type", input.type)), field,
        h("p.hint", { id: `${id}-hint` }, hint), h("p.wrong", { id: `${id}-wrong`, role: "alert" }));
    });
  }

  #given() {
    const body = {};
    for (const [name, field] of this.fields) {
      const value = read(field.value, this.flow.inputs[name].type);
      if (value !== undefined) body[name] = value;
    }
    return body;
  }

  #set() {
    return Object.fromEntries([...this.supposed].map(([fact, { value }]) => [fact, value]));
  }

  async decide() {
    const [input, set] = [this.#given(), this.#set()];
    const supposes = Object.keys(set).length > 0;
    this.#remember(supposes);
    this.#wrong([]);
    this.run.disabled = true;
    this.element.classList.add("deciding");
    const begun = performance.now();
    let result = null;
    try {
      const ask = (token) => api.decide(this.flow.path, input, set, token);
      const answer = supposes ? await withToken("Supposing facts is for whoever has the admin token.", ask) : await ask(null);
      if (answer) result = { answer: answer.body, id: answer.id };
    } catch (error) {
      if (!error.problem) throw error;
      result = { problem: error.problem, id: error.problem.request_id };
    } finally {
      this.run.disabled = false;
      this.element.classList.remove("deciding");
    }
    if (!result) return;
    result = { ...result, input, set, there_and_back: performance.now() - begun };
    if (!supposes) this.base = result;
    this.result = result;
    this.#render();
  }

  // Puts what was asked into the address, so that it can be sent to somebody.
  #remember(supposes) {
    const query = new URLSearchParams([...this.fields].filter(([, field]) => field.value !== "").map(([name, field]) => [name, field.value]));
    if (!supposes) query.set("run", "1");
    this.context.rewrite(this.context.link("play", [this.flow.flow], query));
  }

  #wrong(errors) {
    for (const [name, field] of this.fields) {
      const own = errors.filter(({ pointer }) => pointer === `/${name}` || pointer.startsWith(`/${name}/`));
      const place = document.getElementById(`input-${name}-wrong`);
      if (place) place.textContent = own.map(({ message }) => message).join("; ");
      field.toggleAttribute("aria-invalid", own.length > 0);
      if (own.length) field.setAttribute("aria-invalid", "true");
    }
  }

  #render() {
    const { result } = this;
    const { answer, problem } = result;
    const explain = answer?.explain ?? problem?.explain ?? null;
    this.#wrong(problem?.errors ?? []);
    replace(this.outcome, outcome(result, explain, this.#actions()));
    this.#light(explain);
    const supposes = Object.keys(result.set).length > 0;
    replace(this.parts,
      supposes && changes(this.base, result),
      explain && timeline(explain, this.context.colour),
      answer && answerPart(answer, this.context.colour),
      explain && tried(explain, Boolean(answer)),
      explain && rulesPart(explain),
      explain && factsPart(explain, (fact, value) => this.suppose(fact, value), this.supposed, live.admin !== false));
    this.#showSupposed();
  }

  #actions() {
    const { input, set, answer } = this.result;
    const supposes = Object.keys(set).length > 0;
    return h("div.row.actions",
      copyButton("Copy as curl", () => api.curl(this.flow.path, input, set), { sign: "terminal" }),
      button("Save as flow test", { icon: "test", quiet: true, onclick: () => this.#saveTest() }),
      !supposes && answer && copyButton("Copy link", () => location.href, { sign: "link" }));
  }

  async #saveTest() {
    const { input, set } = this.result;
    const needsToken = Object.keys(set).length > 0 || this.details.redacts;
    const ask = (token) => api.asTest(this.flow.flow, input, set, token);
    try {
      const text = needsToken ? await withToken("This flow test holds rows as they are, or supposed facts: it is for whoever has the admin token.", ask) : await ask(null);
      if (text === null) return;
      const name = `${this.flow.flow}.test.yaml`;
      showText("Flow test", ["The decision, made once more, with the rows it was made from. Keep it beside the other tests, such as tests/flows/", name, ", and run it with: tributary test"], { text, language: "yaml", name, type: "application/yaml" });
    } catch (error) {
      if (!error.problem) throw error;
      showText("No flow test could be made", error.problem.detail ?? "", { text: error.problem.title, language: "yaml" });
    }
  }

  #light(explain) {
    if (!explain) {
      this.graph.light(null);
      this.graph.times(new Map());
      return;
    }
    this.graph.light(new Map(explain.nodes.map(({ node, state }) => [node, state])), explain.outcomes.findIndex(({ holds }) => holds));
    this.graph.times(new Map(explain.nodes.filter(({ took_us: took }) => took !== undefined).map((node) => [node.node, Number(node.took_us)])));
  }

  #jump(id) {
    const target = this.parts.querySelector(`[data-node="${CSS.escape(id)}"]`);
    if (target) {
      if (target.matches("details")) target.open = true;
      target.scrollIntoView({ block: "center" });
      (target.querySelector("summary") ?? target).focus?.({ preventScroll: true });
    } else location.hash = this.context.link("flow", [this.flow.flow, id]);
  }

  // Supposes that a fact has another value; what it is now is where the change begins.
  suppose(fact, value) {
    if (!this.supposed.has(fact)) this.supposed.set(fact, { value, was: value });
    this.#showSupposed();
    const field = document.getElementById(`suppose-${fact}`);
    field?.focus();
    field?.select?.();
    this.supposing.scrollIntoView({ block: "nearest" });
  }

  #showSupposed() {
    this.supposing.hidden = this.supposed.size === 0;
    this.run.lastChild.textContent = this.supposed.size ? "Re-evaluate" : "Run";
    const rows = [...this.supposed].map(([fact, { value, was }]) => {
      const id = `suppose-${fact}`;
      const field = typeof was === "boolean" ? choice(id, ["true", "false"], String(value)) : h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", value: plain(value) });
      field.addEventListener("input", () => { this.supposed.get(fact).value = alike(field.value, was); });
      const remove = signButton(`Do not suppose ${fact}`, "undo", () => {
        this.supposed.delete(fact);
        this.#showSupposed();
        this.run.focus();
      });
      return h("li", h("label", { for: id }, h("code", fact)), h("div.row", field, remove), h("p.hint", "is ", shown(was)));
    });
    replace(this.supposing, h("h2", "What if"), h("ul", rows));
  }
}

// A value of the kind that is there now, where what was typed can be one.
function alike(text, was) {
  if (typeof was === "boolean") return text === "true";
  if (text.trim() === "null") return null;
  if ((isNum(was) || was === null) && NUMBER.test(text.trim())) return new Num(text.trim());
  if (was === null && ["true", "false"].includes(text.trim())) return text.trim() === "true";
  return text;
}

function choice(id, values, current) {
  const element = h("select", { id }, values.map((value) => h("option", { value }, value === "" ? "not given" : value)));
  element.value = current;
  return element;
}

// The control for an input of this type.
function control(id, input) {
  const described = { "aria-describedby": `${id}-hint ${id}-wrong`, "aria-required": String(input.required) };
  const optional = input.required ? [] : [""];
  const set = (element) => {
    for (const [name, value] of Object.entries(described)) element.setAttribute(name, value);
    return element;
  };
  const initial = input.default === undefined || input.default === null ? "" : plain(input.default);
  if (input.enum) return set(choice(id, [...optional, ...input.enum.map(plain)], initial || (input.required ? plain(input.enum[0]) : "")));
  if (input.type === "boolean") return set(choice(id, [...optional, "true", "false"], initial || (input.required ? "true" : "")));
  const example = /such as (\S+)/.exec(input.description ?? "")?.[1];
  const kinds = { date: "date", integer: "text", decimal: "text" };
  return set(h("input", {
    id, type: kinds[input.type] ?? "text", autocomplete: "off", spellcheck: "false", value: initial,
    inputmode: ["integer", "decimal"].includes(input.type) ? "decimal" : null,
    maxlength: input.max_length === undefined ? null : plain(input.max_length),
    placeholder: example ?? { timestamp: "2026-01-31T09:00:00Z", uuid: "00000000-0000-0000-0000-000000000000" }[input.type] ?? null,
  }));
}

// What was typed, as JSON has it; what does not fit goes as it is, for the service says best what is wrong.
function read(text, type) {
  if (text === "") return undefined;
  if (type.startsWith("list")) {
    try { return JSON.parse(text); } catch { return text; }
  }
  if (type === "boolean") return text === "true";
  if (["integer", "decimal"].includes(type) && NUMBER.test(text.trim())) return new Num(text.trim());
  return text;
}
