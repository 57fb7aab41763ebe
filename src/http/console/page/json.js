// JSON without loss: a number keeps the digits it was written with (8525.00 stays 8525.00).

export class Num {
  constructor(text) { this.text = text; }
  toString() { return this.text; }
  valueOf() { return Number(this.text); }
}

export const isNum = (value) => value instanceof Num;
export const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !isNum(value);

const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

export function parse(text) {
  let at = 0;
  const next = () => {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text);
    if (!found) throw new SyntaxError(`not JSON at character ${at}`);
    at = TOKEN.lastIndex;
    return found;
  };
  const value = (token) => {
    const [, sign, string, number, word] = token;
    if (string !== undefined) return JSON.parse(string);
    if (number !== undefined) return new Num(number);
    if (word !== undefined) return JSON.parse(word);
    if (sign === "{") return map();
    if (sign === "[") return list();
    throw new SyntaxError(`unexpected ${sign} at character ${at}`);
  };
  const map = () => {
    const entries = Object.create(null);
    let token = next();
    while (token[1] !== "}") {
      if (token[2] === undefined || next()[1] !== ":") throw new SyntaxError(`a name and a colon are missing at character ${at}`);
      entries[JSON.parse(token[2])] = value(next());
      token = next();
      if (token[1] === ",") token = next();
      else if (token[1] !== "}") throw new SyntaxError(`a comma is missing at character ${at}`);
    }
    return entries;
  };
  const list = () => {
    const items = [];
    let token = next();
    while (token[1] !== "]") {
      items.push(value(token));
      token = next();
      if (token[1] === ",") token = next();
      else if (token[1] !== "]") throw new SyntaxError(`a comma is missing at character ${at}`);
    }
    return items;
  };
  const result = value(next());
  if (text.slice(at).trim()) throw new SyntaxError(`more follows at character ${at}`);
  return result;
}

export function write(value, indent = "") {
  const deeper = `${indent}  `;
  if (isNum(value)) return value.text;
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return `[\n${value.map((item) => deeper + write(item, deeper)).join(",\n")}\n${indent}]`;
  }
  if (isMap(value)) {
    const entries = Object.entries(value);
    if (!entries.length) return "{}";
    return `{\n${entries.map(([name, item]) => `${deeper}${JSON.stringify(name)}: ${write(item, deeper)}`).join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

// On one line, as a body of a request has it.
export function compact(value) {
  if (isNum(value)) return value.text;
  if (Array.isArray(value)) return `[${value.map(compact).join(",")}]`;
  if (isMap(value)) return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${compact(item)}`).join(",")}}`;
  return JSON.stringify(value);
}

// The same with numbers that can be computed with, for what is drawn.
export function computable(value) {
  if (isNum(value)) return Number(value.text);
  if (Array.isArray(value)) return value.map(computable);
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, computable(item)]));
  return value;
}
