// A flow as a graph: the places come from the service, here it is drawn, moved, searched and lit.

import { h, icon, s, setText, signButton } from "./dom.js";
import { duration } from "./format.js";
import { bounds, chamfered, condition, curve, legend } from "./shapes.js";

const SMALLEST = 0.08;
const LARGEST = 2.5;
const LIFE = 1.25;
// Below this only titles are drawn; below the next, not all is shown at first.
const FAR = 0.45;
const LEGIBLE = 0.5;
const SMALLEST_WHOLE = 0.36;
// What is shown in part is so large at least.
const READABLE = 0.75;
const SIGNS = { query: "database", rules: "rules", input: "input", outcome: "outcome" };

export class Graph {
  #view = { x: 0, y: 0, k: 1 };
  #boxes = new Map();
  #arrows = [];
  #pointers = new Map();
  #moved = false;
  #touched = false;
  #current = null;
  #chosen = null;
  // Whether all of it is in sight.
  #whole = false;
  // What the search finds, from left to right, and which of it is in sight.
  #hits = [];
  #hit = 0;

  // `colour` gives the number of a domain's colour; `select` gets the box that is chosen, or null; `whole`: all is shown first,
  // even where only titles can be read.
  constructor(picture, { colour, select, label, whole = false }) {
    this.picture = picture;
    this.select = select;
    this.legible = whole ? SMALLEST_WHOLE : LEGIBLE;
    this.#current = picture.boxes[0]?.id ?? null;
    this.layer = s("g");
    this.surface = s("svg.surface", { role: "group", "aria-label": label }, this.layer);
    this.status = h("p.sr", { role: "status" });
    this.found = h("span.found");
    this.field = h("input.search", {
      type: "search", placeholder: "Find a node", "aria-label": "Find a node", autocomplete: "off", spellcheck: "false",
      oninput: () => this.search(this.field.value),
      onkeydown: (event) => this.#searchKey(event),
    });
    this.element = h("div.graph",
      h("div.graph-tools",
        h("label.searching", icon("search"), this.field, this.found),
        legend(picture.domains.map(({ name }) => name), colour),
        h("div.zoom", { role: "group", "aria-label": "Zoom" },
          signButton("Zoom out", "minus", () => this.zoom(1 / 1.3), { title: "Zoom out (−)" }),
          signButton("Show all", "fit", () => this.fit(), { title: "Show all (0)" }),
          signButton("Zoom in", "plus", () => this.zoom(1.3), { title: "Zoom in (+)" }))),
      h("div.canvas", this.surface, this.#map(colour)),
      this.status);
    this.#draw(colour);
    this.#listen();
  }

  // Takes its size from where it stands; call once it is in the page.
  attach() {
    this.observer = new ResizeObserver(() => {
      if (this.#touched) this.#apply();
      else this.begin();
      if (this.#chosen) this.reveal(this.#chosen);
    });
    this.observer.observe(this.element);
    this.begin();
  }

  // All of it, small, and what part of it is in sight; only where not all of it is.
  #map(colour) {
    const { width, height } = bounds(this.picture);
    const scale = Math.min(150 / width, 84 / height);
    this.window = s("rect.window");
    this.map = s("svg.map", { viewBox: `0 0 ${width} ${height}`, width: width * scale, height: height * scale, "aria-hidden": "true" },
      this.picture.boxes.map((box) => s("rect", { x: box.x, y: box.y, width: box.width, height: box.height, class: box.domain && `d${colour(box.domain)}` })),
      this.window);
    const go = (event) => {
      const { left, top } = this.map.getBoundingClientRect();
      const { k } = this.#view;
      this.#touched = true;
      this.#view.x = this.surface.clientWidth / 2 - ((event.clientX - left) / scale) * k;
      this.#view.y = this.surface.clientHeight / 2 - ((event.clientY - top) / scale) * k;
      this.#apply();
    };
    this.map.addEventListener("pointerdown", (event) => {
      this.map.setPointerCapture(event.pointerId);
      go(event);
    });
    this.map.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
    return this.map;
  }

  detach() { this.observer?.disconnect(); }

  #draw(colour) {
    const { boxes, arrows } = this.picture;
    const tips = ["tip", "tip-ran"].map((id) => s("marker", {
      id, class: id, viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "9", markerHeight: "9", markerUnits: "userSpaceOnUse", orient: "auto",
    }, s("path", { d: "M0 0L8 4L0 8z" })));
    this.layer.append(s("defs", tips));
    // What only fills an answer lies below what decides.
    for (const arrow of [...arrows].sort((one, other) => Number(Boolean(other.aside)) - Number(Boolean(one.aside)))) {
      const line = s("path.arrow", { d: curve(arrow.points), "data-arrow": arrows.indexOf(arrow), class: [arrow.condition && "conditional", arrow.aside && "aside-arrow"].filter(Boolean).join(" ") });
      this.layer.append(line);
      this.#arrows.push({ arrow, line });
    }
    for (const box of boxes) this.layer.append(this.#box(box, colour));
    for (const { arrow } of this.#arrows.filter(({ arrow }) => arrow.label)) this.layer.append(condition(arrow, arrows.indexOf(arrow)));
  }

  #box(box, colour) {
    const { x, y, width, height, kind, id } = box;
    const radius = kind === "outcome" ? Math.min(height / 2, 27) : 9;
    const frame = (name) => (kind === "rules" ? s(`path.${name}`, { d: chamfered(box) }) : s(`rect.${name}`, { width, height, rx: radius }));
    const left = kind === "outcome" ? 22 : 16;
    const texts = [s("text.title", { x: left, y: 24 }, box.title)];
    box.lines.forEach((line, index) => texts.push(s("text.line", { x: left, y: 41 + 17 * index }, line)));
    // Behind the last line, where room is kept for it.
    const timing = s("text.timing", { x: width - 14, y: height - 14, "text-anchor": "end" });
    const clip = `clip-${this.#boxes.size}`;
    const sign = s("g.sign", { transform: `translate(${width - 29} 9) scale(0.7)` });
    sign.append(...icon(SIGNS[kind]).childNodes);
    const said = s("title");
    const group = s("g.box", {
      class: `${kind} ${box.domain ? `d${colour(box.domain)}` : ""}`, transform: `translate(${x} ${y})`, role: "button",
      tabindex: id === this.#current ? "0" : "-1", "data-id": id, "aria-pressed": "false",
    },
    said,
    // The title says it all; what is drawn says no more.
    s("g", { "aria-hidden": "true" },
    s("clipPath", { id: clip }, frame("edge")),
    frame("frame"),
    kind === "query" && s("rect.band", { width: 5, height, "clip-path": `url(#${clip})` }),
    texts, kind === "query" && sign, timing,
    s("circle.alarm", { cx: width - 2, cy: 2, r: 6 })));
    group.addEventListener("click", () => { if (!this.#moved) this.choose(id); });
    group.addEventListener("focus", () => this.#focus(id));
    const known = { box, group, timing, said, state: null, down: null, supposed: false };
    this.#boxes.set(id, known);
    this.#name(known);
    return group;
  }

  // What a screen reader says of a box, and a pointer that rests.
  #name(known) {
    const { box, said, state, down } = known;
    const words = { query: "query", rules: "rules", input: "inputs", outcome: "outcome" };
    const parts = [
      box.kind === "outcome" ? box.description : box.title,
      [words[box.kind], ...(box.kind === "outcome" ? [] : box.lines)].join(" "),
      down && `its database is ${down}`,
      state && state.replace("_", " "),
      known.supposed && "supposed otherwise",
    ];
    setText(said, parts.filter(Boolean).join(", ") + (box.kind !== "outcome" && box.description ? `. ${box.description}` : ""));
  }

  // `stays`: the focus is not led to what is chosen.
  choose(id, { stays = false } = {}) {
    this.mark(id);
    this.select(id, { stays });
  }

  // In which nodes facts are supposed to be otherwise.
  suppose(ids) {
    for (const [id, known] of this.#boxes) {
      known.supposed = ids.has(id);
      known.group.classList.toggle("supposed", known.supposed);
      this.#name(known);
    }
  }

  // Shows which box is chosen, and brings it into sight.
  mark(id) {
    for (const [known, { group }] of this.#boxes) {
      group.classList.toggle("chosen", known === id);
      group.setAttribute("aria-pressed", String(known === id));
    }
    this.#chosen = this.#boxes.has(id) ? id : null;
    if (this.#chosen) {
      this.#tabStop(id);
      this.reveal(id);
    }
  }

  // Boxes of these states and arrows between those that ran; null takes the light away.
  light(states, outcome) {
    this.element.classList.toggle("lit", states !== null);
    const state = (box) => {
      if (!states) return null;
      if (box.kind === "input") return "done";
      if (box.kind === "outcome") return box.id === `outcome:${outcome}` ? "done" : "not_started";
      return states.get(box.id) ?? "not_started";
    };
    for (const known of this.#boxes.values()) {
      known.state = state(known.box);
      known.group.setAttribute("data-state", known.state ?? "");
      this.#name(known);
    }
    const boxes = this.picture.boxes;
    for (const { arrow, line } of this.#arrows) {
      const from = state(boxes[arrow.from]);
      const to = state(boxes[arrow.to]);
      const ran = ["done", "degraded"].includes(from) && to && !["not_started", "skipped"].includes(to);
      line.classList.toggle("ran", Boolean(ran));
      line.classList.toggle("idle", Boolean(states) && !ran);
    }
  }

  // What each node took, by its name, in microseconds.
  times(times) {
    for (const [id, { timing }] of this.#boxes) setText(timing, times.has(id) ? duration(times.get(id)) : "");
  }

  // Which domains do not answer: the name of the state by domain.
  alarms(states) {
    for (const known of this.#boxes.values()) {
      const down = states.get(known.box.domain) ?? null;
      if (down === known.down) continue;
      known.down = down;
      known.group.classList.toggle("alarmed", down !== null);
      this.#name(known);
    }
  }

  search(text) {
    const wanted = text.trim().toLowerCase();
    const found = [];
    for (const [id, { box, group }] of this.#boxes) {
      const hay = [box.title, ...box.lines, box.description, box.domain].filter(Boolean).join("\n").toLowerCase();
      const hit = wanted !== "" && hay.includes(wanted);
      group.classList.toggle("hit", hit);
      if (hit) found.push(box);
    }
    this.#hits = found.sort((one, other) => one.x - other.x || one.y - other.y).map(({ id }) => id);
    this.#hit = -1;
    // While somebody looks for something, the rest stands back.
    this.element.classList.toggle("searching-now", wanted !== "");
    const words = wanted === "" ? "" : found.length === 0 ? "none" : `${found.length} found`;
    setText(this.found, words);
    setText(this.status, wanted === "" ? "" : found.length === 0 ? "No node found" : `${words}; Enter shows the next, Shift and Enter the one before`);
    if (found.length) this.reveal(this.#hits[0]);
  }

  #searchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (!this.#hits.length) return;
      const count = this.#hits.length;
      this.#hit = this.#hit < 0 ? (event.shiftKey ? count - 1 : 0) : (this.#hit + (event.shiftKey ? count - 1 : 1)) % count;
      const id = this.#hits[this.#hit];
      this.element.classList.remove("searching-now");
      this.choose(id, { stays: true });
      setText(this.found, `${this.#hit + 1} of ${count}`);
      setText(this.status, `${this.#hit + 1} of ${count}: ${id}`);
    } else if (event.key === "Escape" && this.field.value) {
      event.stopPropagation();
      this.field.value = "";
      this.search("");
    }
  }

  #tabStop(id) {
    this.#boxes.get(this.#current)?.group.setAttribute("tabindex", "-1");
    this.#current = id;
    this.#boxes.get(id)?.group.setAttribute("tabindex", "0");
  }

  #focus(id) {
    this.#tabStop(id);
    if (this.#boxes.get(id).group.matches(":focus-visible")) this.reveal(id);
  }

  // The nearest box in a direction; those straight ahead come before those aside.
  #neighbour(id, [dx, dy]) {
    const middle = ({ x, y, width, height }) => [x + width / 2, y + height / 2];
    const [cx, cy] = middle(this.#boxes.get(id).box);
    let best = null;
    for (const [other, { box }] of this.#boxes) {
      const [ox, oy] = middle(box);
      const ahead = (ox - cx) * dx + (oy - cy) * dy;
      const aside = Math.abs((ox - cx) * dy) + Math.abs((oy - cy) * dx);
      if (other === id || ahead < 12 || (dy && aside > 160)) continue;
      const cost = ahead + aside * 2;
      if (!best || cost < best.cost) best = { other, cost };
    }
    return best?.other;
  }

  #listen() {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    this.surface.addEventListener("keydown", (event) => {
      const id = event.target.closest?.("[data-id]")?.getAttribute("data-id");
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (id && (event.key === "Enter" || event.key === " ")) this.choose(id);
      else if (id && steps[event.key]) this.#boxes.get(this.#neighbour(id, steps[event.key]))?.group.focus();
      else if (event.key === "+" || event.key === "=") this.zoom(1.3);
      else if (event.key === "-") this.zoom(1 / 1.3);
      else if (event.key === "0") this.fit();
      else return;
      event.preventDefault();
    });
    this.surface.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(-event.deltaY * 0.01), this.#place(event));
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) this.#move(-(event.deltaX || event.deltaY), 0);
      else return;
      event.preventDefault();
    }, { passive: false });
    this.surface.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (!this.#pointers.size) this.#moved = false;
      this.#pointers.set(event.pointerId, this.#place(event));
    });
    this.surface.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      this.surface.addEventListener(end, (event) => {
        this.#pointers.delete(event.pointerId);
        if (this.#pointers.size) return;
        this.surface.classList.remove("moving");
        // The click that ends a movement chooses nothing; the next one does, whoever makes it.
        setTimeout(() => { if (!this.#pointers.size) this.#moved = false; }, 0);
      });
    }
  }

  #place(event) {
    const { left, top } = this.surface.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event);
    if (!this.#moved && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return;
    if (!this.#moved) {
      this.#moved = true;
      this.surface.setPointerCapture(event.pointerId);
      this.surface.classList.add("moving");
    }
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    if (others.length === 1) {
      const [[, other]] = others;
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
      this.zoom(apart(now) / Math.max(apart(before), 1), other);
    } else {
      this.#move(now[0] - before[0], now[1] - before[1]);
    }
    this.#pointers.set(event.pointerId, now);
  }

  #apply() {
    const { x, y, k } = this.#view;
    this.layer.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${k.toFixed(4)})`);
    this.element.classList.toggle("far", k < FAR);
    const { clientWidth, clientHeight } = this.surface;
    const { width, height } = bounds(this.picture);
    const isWhole = x >= -1 && y >= -1 && x + width * k <= clientWidth + 1 && y + height * k <= clientHeight + 1;
    this.#whole = isWhole;
    this.map.classList.toggle("needed", !isWhole);
    // A finger scrolls the page where the graph has nothing more above or below.
    this.surface.classList.toggle("deep", height * k > clientHeight + 1);
    const place = { x: -x / k, y: -y / k, width: clientWidth / k, height: clientHeight / k };
    for (const [name, value] of Object.entries(place)) this.window.setAttribute(name, value.toFixed(1));
  }

  #move(dx, dy) {
    this.#touched = true;
    const { clientWidth, clientHeight } = this.surface;
    const { width, height } = this.picture;
    const { k } = this.#view;
    // Some of it always stays in sight.
    const within = (value, size, room) => Math.min(Math.max(value, 80 - size * k), room - 80);
    this.#view.x = within(this.#view.x + dx, width, clientWidth);
    this.#view.y = within(this.#view.y + dy, height, clientHeight);
    this.#apply();
  }

  zoom(factor, [px, py] = [this.surface.clientWidth / 2, this.surface.clientHeight / 2]) {
    this.#touched = true;
    const { x, y, k } = this.#view;
    const next = Math.min(Math.max(k * factor, SMALLEST), LARGEST);
    this.#view = { x: px - (px - x) * (next / k), y: py - (py - y) * (next / k), k: next };
    this.#apply();
  }

  // All of it, but hardly larger than life.
  fit() {
    const { clientWidth, clientHeight } = this.surface;
    if (!clientWidth) return;
    const { width, height } = bounds(this.picture);
    const k = Math.min(clientWidth / width, clientHeight / height, LIFE);
    this.#view = { x: (clientWidth - width * k) / 2, y: (clientHeight - height * k) / 2, k };
    this.#touched = false;
    this.#apply();
  }

  // All of it, or, where that would be too small to read, its beginning: from the left, and from the top where not all of the
  // height can be shown.
  begin() {
    this.fit();
    if (this.#view.k >= this.legible) return;
    const { height } = bounds(this.picture);
    const room = this.surface.clientHeight;
    const k = Math.min(Math.max(room / height, READABLE), 1);
    this.#view = { x: 0, y: Math.max((room - height * k) / 2, 0), k };
    this.#apply();
  }

  // Moves a box into sight where it is not, and makes it large enough to be read.
  reveal(id) {
    if (this.#whole && this.#view.k >= 0.3) return;
    const { x, y, width, height } = this.#boxes.get(id).box;
    const view = this.#view;
    const { clientWidth, clientHeight } = this.surface;
    const into = (start, length, room, margin) => {
      if (start < margin) return margin - start;
      return start + length > room - margin ? Math.max(room - margin - start - length, margin - start) : 0;
    };
    if (view.k < 0.3) this.zoom(0.7 / view.k, [view.x + (x + width / 2) * view.k, view.y + (y + height / 2) * view.k]);
    const { x: vx, y: vy, k } = this.#view;
    const dx = into(vx + x * k, width * k, clientWidth, 16);
    const dy = into(vy + y * k, height * k, clientHeight, 16);
    if (dx || dy) this.#move(dx, dy);
  }
}
