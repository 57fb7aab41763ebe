// SQL, GRL and JSON in colour. A few words and signs are told apart; what is not recognised is plain text.

import { h } from "./dom.js";

const SQL_WORDS = "all and any array as asc between by case cast coalesce count conflict cross current_date current_timestamp delete desc distinct do else end except exists extract false filter first following for from full group having ilike in inner insert intersect interval into is join lateral left like limit max matched merge min natural not nothing null nulls offset on or order ordinality outer over partition preceding returning right row rows select set similar some sum avg then to true unbounded union unique update using values when where window with within";
const GRL_WORDS = "rule when then salience no-loop date-effective date-expires true false null in contains startsWith endsWith matches";

const words = (list) => new Set(list.split(" "));

const LANGUAGES = {
  sql: {
    words: words(SQL_WORDS),
    folds: true,
    pattern: /(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>'(?:[^']|'')*')|(?<param>\$\d+)|(?<number>\b\d+(?:\.\d+)?\b)|(?<word>[A-Za-z_][\w$]*)/g,
  },
  grl: {
    words: words(GRL_WORDS),
    folds: false,
    pattern: /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>"(?:[^"\\]|\\.)*")|(?<number>\b\d+(?:\.\d+)?\b)|(?<word>(?:no-loop|date-effective|date-expires)\b|[A-Za-z_]\w*)/g,
  },
  json: {
    words: words("true false null"),
    folds: false,
    pattern: /(?<key>"(?:[^"\\]|\\.)*"(?=\s*:))|(?<string>"(?:[^"\\]|\\.)*")|(?<number>-?\b\d+(?:\.\d+)?\b)|(?<word>[a-z]+)/g,
  },
  yaml: {
    words: words("true false null"),
    folds: false,
    pattern: /(?<comment>(?<=^|\s)#[^\n]*)|(?<string>"(?:[^"\\]|\\.)*")|(?<key>(?<=^[ -]*)[\w.]+(?=:))|(?<number>\b\d+(?:\.\d+)?\b)/gm,
  },
};

// The pieces of a text: spans of what is recognised, and plain text between them.
export function colour(text, language) {
  const { words: known, folds, pattern } = LANGUAGES[language];
  const pieces = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    let kind = Object.keys(found.groups).find((name) => found.groups[name] !== undefined);
    if (kind === "word") {
      const word = folds ? found[0].toLowerCase() : found[0];
      const called = /^\s*\(/.test(text.slice(found.index + found[0].length, found.index + found[0].length + 3));
      if (known.has(word)) kind = "keyword";
      else if (called) kind = "call";
      else continue;
    }
    if (found.index > at) pieces.push(text.slice(at, found.index));
    pieces.push(h(`span.t-${kind}`, found[0]));
    at = found.index + found[0].length;
  }
  pieces.push(text.slice(at));
  return pieces;
}

export function block(text, language, label) {
  return h("pre.code", { tabindex: "0", role: "region", "aria-label": label }, h("code", colour(text, language)));
}

// The pieces of a coloured text, line by line.
function lined(text, language) {
  const lines = [[]];
  for (const piece of colour(text, language)) {
    const whole = piece instanceof Node ? piece.textContent : piece;
    whole.split("\n").forEach((part, index) => {
      if (index > 0) lines.push([]);
      if (part) lines.at(-1).push(piece instanceof Node ? h("span", { class: piece.getAttribute("class") }, part) : part);
    });
  }
  return lines;
}

// A text whose long lines are broken where there is no more room: what is carried over hangs behind where the line began.
export function wrapping(text, language, label) {
  const indents = text.split("\n").map((line) => line.length - line.trimStart().length);
  const rows = lined(text, language).map((pieces, index) => h("span.hanging", { style: { "--indent": `${indents[index] + 2}ch` } }, pieces, "\n"));
  return h("pre.code", { tabindex: "0", role: "region", "aria-label": label }, h("code", rows));
}

// A text with its line numbers, from `first` on; `marks` are lines to be pointed at.
export function numbered(text, language, label, first = 1, marks = new Set()) {
  const lines = lined(text.replace(/\n$/, ""), language);
  const rows = lines.map((pieces, index) => {
    const line = first + index;
    return h("span.line", { class: marks.has(line) && "marked", "data-line": line }, pieces, "\n");
  });
  return h("pre.code.numbered", { tabindex: "0", role: "region", "aria-label": label, style: { "--digits": `${String(first + lines.length).length}ch` } }, h("code", rows));
}

const CLAUSE = /\s+((?:FROM|WHERE|GROUP\s+BY|HAVING|ORDER\s+BY|LIMIT|UNION|(?:(?:LEFT|RIGHT|FULL)(?:\s+OUTER)?\s+|CROSS\s+|INNER\s+)?JOIN)\b)/yi;
const UNTOUCHED = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$(\w*)\$[\s\S]*?\$\1\$|IS\s+(?:NOT\s+)?DISTINCT\s+FROM\b/yi;

// SQL on one line is broken before its clauses, as people write it: not within quotes, comments or parentheses, where the
// same words are no clauses. It is for looking at; what is copied is the query itself.
export function laidOut(sql) {
  const text = sql.trim();
  if (text.includes("\n")) return text;
  let [out, depth, at] = ["", 0, 0];
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  while (at < text.length) {
    const whole = take(UNTOUCHED);
    const clause = !whole && depth === 0 && take(CLAUSE);
    if (whole) out += whole[0];
    else if (clause) out += `\n${clause[1]}`;
    else {
      const c = text[at];
      depth += c === "(" ? 1 : c === ")" ? -1 : 0;
      out += c;
      at += 1;
    }
  }
  return out;
}
