// What the service tells by itself: how the domains are, once a second. A connection that is lost is made again, and
// everybody who looks is told both times. While nobody can see the page there is none: browsers have few to give.

import { bearer, present, renew } from "./api.js";

const KEPT = 120;
// The service says something every second; where it says nothing for so long, the connection is dead.
const SILENCE = 8_000;
const LONGEST_PAUSE = 5_000;

class Live extends EventTarget {
  state = "connecting";
  // Why the service refuses to tell, where it does: a problem document.
  problem = null;
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

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#rest();
      else if (this.#wanted) this.start();
    });
  }

  #wanted = false;

  // A stream of events that is read by hand: EventSource could send no token.
  async start() {
    this.#wanted = true;
    this.#rest();
    if (document.hidden) return;
    const stop = new AbortController();
    this.#stop = stop;
    this.#watch();
    const used = present();
    try {
      const response = await fetch("/events", { headers: bearer(), signal: stop.signal, cache: "no-store" });
      if (!response.ok) {
        await this.#refused(response, used, stop);
        return;
      }
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
    if (this.#stop === stop) this.#lost(null);
  }

  // The service is there and does not tell: with another token it may, or later.
  async #refused(response, used, stop) {
    const other = { code: `http_${response.status}`, title: `The service answered ${response.status}` };
    const problem = await response.json().catch(() => other);
    if (this.#stop !== stop) return;
    if (problem.code !== "unauthorized") {
      this.#pause = Math.max(this.#pause, 1000 * Number(response.headers.get("retry-after") ?? 1));
      this.#lost(problem);
      return;
    }
    this.#rest();
    const isRenewed = await renew(used);
    if (isRenewed) this.start();
    else this.#become("lost", problem);
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#stop?.abort();
    this.#stop = null;
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
    const before = this.flows;
    // What was seen of a flow is told where it changes.
    for (const [name, flow] of Object.entries(flows)) flow.last ??= before?.[name]?.last ?? null;
    const version = (flow) => flow && `${flow.graph} ${flow.rules}`;
    const names = [...Object.keys(before ?? {}), ...Object.keys(flows)];
    const changed = new Set(names.filter((name) => before && version(before[name]) !== version(flows[name])));
    this.flows = flows;
    this.#become("live", null);
    this.dispatchEvent(new Event("pulse"));
    if (changed.size) this.dispatchEvent(Object.assign(new Event("release"), { changed }));
  }

  #lost(problem) {
    this.#rest();
    this.#become("lost", problem);
    this.#timer = setTimeout(() => this.start(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.6, LONGEST_PAUSE);
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(null), SILENCE);
  }

  #become(state, problem) {
    if (this.state === state && this.problem?.code === problem?.code) return;
    this.state = state;
    this.problem = problem;
    this.dispatchEvent(new Event("state"));
  }
}

export const live = new Live();
