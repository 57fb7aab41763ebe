// A form made from a flow's inputs: a control for each kind, what was typed as JSON has it, what is wrong at its place.

import { h } from "./dom.js";
import { plain } from "./format.js";
import { Num, parse } from "./json.js";

// The types that are numbers in JSON, unless the flow says otherwise.
const NUMBERS = ["integer", "decimal"];
// As JSON writes one: 007 is none.
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

export function number(text) {
  return NUMBER.test(text.trim()) ? new Num(text.trim()) : undefined;
}

export class Form {
  // `decimals`: "number" or "string", what they are in JSON.
  constructor(inputs, decimals) {
    this.numbers = decimals === "string" ? ["integer"] : NUMBERS;
    this.inputs = inputs;
    this.fields = new Map(Object.entries(inputs).map(([name, input]) => [name, new Field(name, input)]));
  }

  get elements() {
    return this.fields.size ? [...this.fields.values()].map((field) => field.element) : h("p.muted", "The flow takes no inputs.");
  }

  // What was given, as the body of a request has it.
  read() {
    const entries = [...this.fields].map(([name, field]) => [name, read(field.text, field.input, this.numbers)]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  // As texts by name, for an address; what stands there anyway is left out.
  texts() {
    return [...this.fields].filter(([, field]) => field.text !== "").map(([name, field]) => [name, field.text]);
  }

  // What an address says; what it leaves out is as at the beginning.
  write(query) {
    for (const [name, field] of this.fields) field.text = query.has(name) ? query.get(name) : field.initial;
  }

  wrong(errors) {
    for (const [name, field] of this.fields) {
      const pointer = `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      field.wrong(errors.filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`)).map((error) => {
        const place = error.pointer.slice(pointer.length + 1);
        return place === "" ? error.message : `number ${Number(place) + 1} ${error.message}`;
      }));
    }
  }
}

class Field {
  constructor(name, input) {
    this.input = input;
    const id = `input-${name}`;
    this.complaint = h("p.wrong", { id: `${id}-wrong`, role: "alert" });
    const described = { "aria-describedby": `${id}-hint ${id}-wrong` };
    this.control = control(id, name, input);
    for (const element of this.control.marked) {
      element.setAttribute("aria-describedby", described["aria-describedby"]);
      if (input.required && element.matches("input, select")) element.setAttribute("aria-required", "true");
    }
    this.initial = this.text;
    const label = h(this.control.many ? "p.label-line" : "label", this.control.many ? { id: `${id}-label` } : { for: id }, h("span", name), h("span.type", input.type));
    this.element = h("div.field", label, this.control.element, h("p.hint", { id: `${id}-hint` }, hint(input)), this.complaint);
  }

  get text() { return this.control.get(); }
  set text(text) { this.control.set(text); }

  wrong(messages) {
    const text = messages.join("; ");
    if (this.complaint.textContent !== text) this.complaint.textContent = text;
    for (const element of this.control.marked) {
      if (messages.length) element.setAttribute("aria-invalid", "true");
      else element.removeAttribute("aria-invalid");
    }
  }
}

function hint(input) {
  const isList = input.type.startsWith("list");
  return [
    input.description,
    input.required ? null : "optional",
    input.minimum !== undefined && `at least ${plain(input.minimum)}`,
    input.maximum !== undefined && `at most ${plain(input.maximum)}`,
    input.max_length !== undefined && `at most ${plain(input.max_length)} characters`,
    input.pattern !== undefined && `matches ${input.pattern}`,
    isList && !input.enum && "several, with commas between them, or a JSON list",
  ].filter(Boolean).join(" · ");
}

export function choice(id, values, current, words = {}) {
  const element = h("select", { id }, values.map((value) => h("option", { value }, words[value] ?? (value === "" ? "not given" : value))));
  element.value = current;
  return element;
}

// The control for an input of this type: how it is read and written as text, and what is marked where it is wrong.
function control(id, name, input) {
  const of = (element) => ({ element, marked: [element], get: () => element.value, set: (text) => { element.value = text; } });
  const optional = input.required ? [] : [""];
  const initial = input.default === undefined || input.default === null ? "" : plain(input.default);
  if (input.type.startsWith("list") && input.enum) return boxes(id, input);
  if (input.enum) return of(choice(id, [...optional, ...input.enum.map(plain)], initial || (input.required ? plain(input.enum[0]) : "")));
  if (input.type === "boolean") return of(choice(id, [...optional, "true", "false"], initial || (input.required ? "true" : "")));
  const example = /such as ([^\s,;]+)/.exec(input.description ?? "")?.[1];
  return of(h("input", {
    id, type: input.type === "date" ? "date" : "text", autocomplete: "off", spellcheck: "false", value: initial,
    inputmode: NUMBERS.includes(input.type) ? "decimal" : null,
    placeholder: example ?? { timestamp: "2026-01-31T09:00:00Z", uuid: "00000000-0000-0000-0000-000000000000" }[input.type] ?? null,
  }));
}

// A list of which the values are known: a box for each. Its text is a JSON list, or nothing.
function boxes(id, input) {
  const all = input.enum.map((value) => ({ value, box: h("input", { type: "checkbox" }) }));
  const element = h("div.boxes", { role: "group", "aria-labelledby": `${id}-label` }, all.map(({ value, box }) => h("label.check", box, h("span", plain(value)))));
  const set = (text) => {
    const chosen = (listOf(text, input.type) ?? []).map(plain);
    for (const { value, box } of all) box.checked = chosen.includes(plain(value));
  };
  const get = () => {
    const chosen = all.filter(({ box }) => box.checked).map(({ value }) => (typeof value === "string" ? JSON.stringify(value) : plain(value)));
    return chosen.length || input.required ? `[${chosen.join(",")}]` : "";
  };
  if (Array.isArray(input.default)) for (const { value, box } of all) box.checked = input.default.map(plain).includes(plain(value));
  return { element, marked: [element], get, set, many: true };
}

// A JSON list, or texts with commas between them.
function listOf(text, type, numbers = NUMBERS) {
  if (text.trim().startsWith("[")) {
    try { return parse(text); } catch { return undefined; }
  }
  const scalar = type.replace(/^list of /, "");
  return text.split(",").map((piece) => scalarOf(piece.trim(), scalar, numbers));
}

function scalarOf(text, type, numbers) {
  if (type === "boolean" && ["true", "false"].includes(text)) return text === "true";
  if (numbers.includes(type)) return number(text) ?? text;
  return text;
}

// What was typed, as JSON has it; what does not fit goes as it is, for the service says best what is wrong.
function read(text, { type }, numbers) {
  if (text === "") return undefined;
  if (type.startsWith("list")) return listOf(text, type, numbers) ?? text;
  return scalarOf(text, type, numbers);
}
