// What the service tells by itself: how the domains are, once a second. A connection that is lost is made again, and
// everybody who looks is told both times.

import { bearer } from "./api.js";

const KEPT = 120;
// The service says something every second; where it says nothing for so long, the connection is dead.
const SILENCE = 8_000;
const LONGEST_PAUSE = 5_000;

class Live extends EventTarget {
  state = "connecting";
  admin = null;
  version = null;
  // By domain: how it is.
  domains = new Map();
  // By domain: its samples, oldest first.
  past = new Map();
  // By flow: its versions, and the last timings that were seen.
  flows = null;
  heard = null;
  #stop = null;
  #timer = null;
  #pause = 500;

  // A stream of events that is read by hand: EventSource could send no token.
  async start() {
    clearTimeout(this.#timer);
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.#watch();
    try {
      const response = await fetch("/events", { headers: bearer(), signal: stop.signal, cache: "no-store" });
      if (!response.ok) throw new Error(`the service answered ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        events.forEach((event) => this.#take(event));
      }
    } catch { /* However it ended, it is tried again. */ }
    if (this.#stop === stop) this.#lost();
  }

  #take(event) {
    this.#watch();
    const [, name] = /^event: (.*)$/m.exec(event) ?? [];
    const [, data] = /^data: (.*)$/m.exec(event) ?? [];
    if (name === "hello") this.#hello(JSON.parse(data));
    if (name === "pulse") this.#pulse(JSON.parse(data));
  }

  #hello({ version, admin, past }) {
    this.admin = admin;
    this.version = version;
    this.past = new Map(Object.entries(past));
    this.#pause = 500;
  }

  #pulse({ at, sample, domains, flows }) {
    this.heard = at;
    this.domains = new Map(domains.map((domain) => [domain.domain, domain]));
    for (const domain of domains) {
      const points = this.past.get(domain.domain) ?? [];
      if (sample && domain.sample && points.at(-1)?.t !== domain.sample.t) points.push(domain.sample);
      this.past.set(domain.domain, points.slice(-KEPT));
    }
    const versions = (all) => JSON.stringify(Object.entries(all).map(([name, { graph, rules }]) => [name, graph, rules]));
    const changed = this.flows !== null && versions(this.flows) !== versions(flows);
    this.flows = flows;
    this.#become("live");
    this.dispatchEvent(new Event("pulse"));
    if (changed) this.dispatchEvent(new Event("release"));
  }

  #lost() {
    this.#stop?.abort();
    this.#stop = null;
    this.#become("lost");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.6, LONGEST_PAUSE);
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), SILENCE);
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

export const live = new Live();
