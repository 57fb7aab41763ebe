// Numbers, times and values as people read them: in their own zone, and as wide as each other.

import { h } from "./dom.js";
import { compact, isMap, isNum } from "./json.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

// So many characters of a text are kept together where it has digits.
const SHORT = 24;

export function time(value) {
  const date = new Date(value);
  const shown = date.toDateString() === new Date().toDateString() ? CLOCK.format(date) : DAY.format(date);
  return h("time", { datetime: date.toISOString(), title: FULL.format(date) }, shown);
}

// Microseconds as milliseconds or seconds: "0.84 ms", "1.25 s".
export function duration(micros) {
  const ms = Number(micros) / 1000;
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1_000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

// The same for a column: all with one unit and as many decimals, so that they can be compared at a glance.
export function durations(all) {
  const longest = Math.max(0, ...all.map(Number));
  return longest >= 10_000_000 ? (micros) => `${(Number(micros) / 1_000_000).toFixed(3)} s` : (micros) => `${(Number(micros) / 1000).toFixed(2)} ms`;
}

export function rate(value) {
  const number = Number(value);
  return number >= 100 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(1);
}

export const plural = (count, word) => `${count} ${word}${Number(count) === 1 ? "" : "s"}`;

// A value in words: as in JSON, but a text has no quotes where it stands alone.
export function plain(value) {
  if (value === undefined) return "unset";
  if (value === null) return "null";
  if (typeof value === "string") return value;
  if (Array.isArray(value) || isMap(value)) return compact(value);
  return String(value);
}

// A value as an element; what kind it is shows.
export function shown(value) {
  if (value === undefined) return h("span.value.unset", "unset");
  if (value === null) return h("span.value.null", "null");
  if (isNum(value)) return h("span.value.number", value.text);
  if (typeof value === "boolean") return h("span.value.boolean", String(value));
  // Dates, codes and numbers in texts stay on one line.
  if (typeof value === "string") return h("bdi.value.text", { class: value.length <= SHORT && /\d/.test(value) && "short" }, value === "" ? "“”" : value);
  return h("span.value.json", compact(value));
}

// A name of code, which a narrow table breaks after "." and "_".
export const codeName = (name) => h("code", name.split(/(?<=[._])/).map((part, index) => [index > 0 && h("wbr"), part]));

// What stands between backticks is code.
export function prose(text) {
  return h("bdi", String(text).split("`").map((part, index) => (index % 2 ? h("code", part) : part)));
}

// All leaves of a value with their dotted paths.
export function leaves(value, path = "") {
  if (!isMap(value)) return [[path, value]];
  const entries = Object.entries(value);
  return entries.length ? entries.flatMap(([name, item]) => leaves(item, path ? `${path}.${name}` : name)) : [[path, value]];
}
