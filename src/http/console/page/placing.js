// The switch that has the next decision written, and the key of its request. Without it no key is sent, and nothing is written.

import { h, setText } from "./dom.js";

// A random UUID (version 4). Browsers have a function for it only on pages that came over TLS or from the same machine.
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((byte, index) => ([4, 6, 8, 10].includes(index) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
}

export class Placing {
  // `changed` is called when the switch is turned.
  constructor({ effects, outcomes, may_write: mayWrite }, changed) {
    this.changed = changed;
    this.mayWrite = mayWrite;
    this.effects = effects;
    this.box = h("input", { type: "checkbox", onchange: () => this.#show() });
    this.field = h("input", { id: "placing-key", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "257", "aria-describedby": "placing-what" });
    this.what = h("div.hint", { id: "placing-what" }, sentences(effects, outcomes));
    this.why = h("p.hint", { id: "placing-why" });
    this.box.setAttribute("aria-describedby", "placing-why");
    this.more = h("div.field", h("label", { for: "placing-key" }, h("span", "Idempotency-Key"), h("span.type", "new for each decision")), this.field, this.what);
    const named = effects.map(({ name }) => name.replaceAll("_", " ")).join(", ");
    this.element = h("section.placing", { "aria-label": "Write the decision" }, h("label.check", this.box, h("span", `Write the decision (${named})`)), this.why, this.more);
    this.off();
  }

  // The key of the next request; null where it is only to be decided.
  get key() { return this.box.checked && !this.box.disabled ? this.field.value.trim() : null; }

  // The next request is another one: it writes only if somebody says so again.
  off() {
    this.box.checked = false;
    this.field.value = uuid();
    this.#show();
  }

  // A decision with facts replaced is never written.
  suppose(supposes) {
    this.supposes = supposes;
    this.box.disabled = supposes || !this.mayWrite;
    if (supposes) this.box.checked = false;
    this.#show();
  }

  #show() {
    this.more.hidden = !this.box.checked;
    this.why.hidden = this.box.checked;
    setText(this.why, this.#reason());
    this.changed();
  }

  #reason() {
    const [{ domain }] = this.effects;
    if (!this.mayWrite) return `Nothing can be written to ${domain}: the service has no ${domain.toUpperCase()}_WRITE_USER.`;
    return this.supposes ? "A decision with facts replaced is never written." : "Off: decisions are shown, and nothing is written.";
  }
}

// What is written where, and when it waits.
function sentences(effects, outcomes) {
  const of = ({ status, effect, approval }) => {
    const known = effects.find(({ name }) => name === effect);
    return h("li", h("strong", status), " writes ", h("code", effect), ` to ${known.domain}`, known.event && [" and announces ", h("code", known.event.type)],
      approval && ["; it waits for approval if ", h("code", approval)], ".");
  };
  return [h("p", "If the decision is"), h("ul", outcomes.filter(({ effect }) => effect).map(of)), h("p", "Any other decision writes nothing. The answer is kept with the key, so that the same request with the same key writes nothing more.")];
}

// What became of a request with a key: a word, and a sentence.
export function placed({ key, answer, problem, replayed, decision }, outcome) {
  if (!key) return null;
  if (replayed) return { word: "replayed", sign: "restart", text: [`This is the stored answer of an earlier request with this key, decision ${decision}. Nothing was written now.`] };
  if (problem) {
    const isOpen = problem.retryable || problem.code === "unreachable";
    const stored = problem.code === "not_found" ? "Nothing was written. This answer is kept with the key." : null;
    return { word: null, text: [stored ?? (isOpen ? "Run it again with the same key: if it was written, the answer is the stored one." : "Nothing was written.")], isOpen };
  }
  if (answer.approval) return { word: "waits for approval", sign: "alert", text: ["Nothing is written yet. The effect waits for the approval ", h("code", answer.approval.id), ", which ", h("code", `GET /approvals/${answer.approval.id}`), " shows."] };
  if (outcome && !outcome.effect) return { word: null, text: ["This outcome has no effect: nothing was written. The answer is kept with the key."] };
  return { word: "written", sign: "check", text: ["Written", outcome && [": ", h("code", outcome.effect)], ", with the key ", h("code", key), "."] };
}
