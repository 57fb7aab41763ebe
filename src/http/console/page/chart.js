// A small chart of the last two minutes, and the gauge of a pool.

import { h, s, setText } from "./dom.js";
import { rate, time } from "./format.js";
import { nice } from "./shapes.js";

const WINDOW = 120_000;
const WIDTH = 260;
const HEIGHT = 64;
// Samples come once a second: where they are further apart, nobody was listening.
const HOLE = 3_000;

// `series` are the lines, by the names of a sample's members, with what they are called; the first is filled below.
export class Chart {
  constructor(title, series, { value, axis = rate }) {
    Object.assign(this, { title, value, axis, points: [], names: Object.keys(series) });
    this.now = h("span.now.num", "–");
    this.peak = h("span.peak.num");
    this.at = h("span.at.num", { hidden: true });
    this.lines = this.names.map((name) => s("path.series", { class: name }));
    this.area = s("path.area");
    this.cursor = s("path.cursor");
    this.svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
      s("path.base", { d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }), this.area, this.lines, this.cursor);
    this.element = h("figure.chart",
      h("figcaption", h("span.label", title), this.now),
      h("div.plot", { onpointermove: (event) => this.#point(event), onpointerleave: () => this.#leave() }, this.svg, this.peak, this.at),
      h("p.chart-legend", { "aria-hidden": "true" }, Object.entries(series).map(([name, words]) => h("span", h("span.key", { class: name }), words)), h("span.window", "last 2 min")));
  }

  update(all) {
    const newest = all.at(-1);
    this.end = newest?.t ?? Date.now();
    this.points = all.filter((point) => point.t >= this.end - WINDOW);
    const known = this.points.flatMap((point) => this.names.map((name) => point[name]).filter((number) => number !== null));
    const highest = Math.max(...known, 0);
    const top = nice(highest);
    const x = (t) => WIDTH - ((this.end - t) / WINDOW) * WIDTH;
    const y = (number) => HEIGHT - 1 - (number / top) * (HEIGHT - 15);
    this.names.forEach((name, index) => this.lines[index].setAttribute("d", path(this.points, name, x, y)));
    this.area.setAttribute("d", area(this.points, this.names[0], x, y));
    const said = newest ? this.value(newest) : null;
    setText(this.now, said ?? "idle");
    this.now.classList.toggle("idle", said === null);
    setText(this.peak, highest > 0 ? this.axis(top) : "");
    const words = newest ? `${this.title}: now ${said ?? "idle"}, at most ${this.axis(highest)} within two minutes` : `${this.title}: nothing yet`;
    if (this.svg.getAttribute("aria-label") !== words) this.svg.setAttribute("aria-label", words);
  }

  // What was where the pointer is.
  #point({ clientX, currentTarget }) {
    const { left, width } = currentTarget.getBoundingClientRect();
    const t = this.end - (1 - (clientX - left) / width) * WINDOW;
    const near = this.points.reduce((best, point) => (best && Math.abs(best.t - t) <= Math.abs(point.t - t) ? best : point), null);
    if (!near || Math.abs(near.t - t) > HOLE) return this.#leave();
    this.cursor.setAttribute("d", `M${(WIDTH - ((this.end - near.t) / WINDOW) * WIDTH).toFixed(1)} 0V${HEIGHT}`);
    setText(this.at, `${this.value(near) ?? "idle"} · ${time(near.t).textContent}`);
    this.at.hidden = false;
    this.peak.hidden = true;
    return undefined;
  }

  #leave() {
    this.cursor.setAttribute("d", "");
    this.at.hidden = true;
    this.peak.hidden = false;
  }
}

// Stretches of points that follow each other; a second without a value is a gap, and so is a time without samples.
export function stretches(points, name) {
  const all = [[]];
  for (const point of points) {
    const last = all.at(-1).at(-1);
    // No failures are no line.
    if (point[name] === null || (name === "failed" && point[name] === 0)) all.push([]);
    else if (last && point.t - last.t > HOLE) all.push([point]);
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
export class Pool {
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
