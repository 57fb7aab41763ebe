// What the service tells by itself: how the domains are, once a second. A connection that is lost is made again, and
// everybody who looks is told both times.

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
  // By flow: the last timings that were seen.
  last = {};
  versions = null;
  heard = null;
  #source = null;
  #timer = null;
  #pause = 500;

  start() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = new EventSource("/events");
    this.#source.addEventListener("hello", (event) => this.#hello(JSON.parse(event.data)));
    this.#source.addEventListener("pulse", (event) => this.#pulse(JSON.parse(event.data)));
    this.#source.addEventListener("error", () => this.#lost());
    this.#watch();
  }

  #hello({ version, admin, past }) {
    this.admin = admin;
    this.version = version;
    this.past = new Map(Object.entries(past));
    this.#pause = 500;
  }

  #pulse({ at, sample, domains, last, versions }) {
    this.heard = at;
    this.domains = new Map(domains.map((domain) => [domain.domain, domain]));
    for (const domain of domains) {
      const points = this.past.get(domain.domain) ?? [];
      if (sample && domain.sample && points.at(-1)?.t !== domain.sample.t) points.push(domain.sample);
      this.past.set(domain.domain, points.slice(-KEPT));
    }
    this.last = last;
    const changed = this.versions !== null && JSON.stringify(this.versions) !== JSON.stringify(versions);
    this.versions = versions;
    this.#become("live");
    this.#watch();
    this.dispatchEvent(new Event("pulse"));
    if (changed) this.dispatchEvent(new Event("release"));
  }

  #lost() {
    this.#source?.close();
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
