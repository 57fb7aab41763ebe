// Effects that wait for an approval: what each would write, what has changed since it was decided, and who decides now.

import * as api from "./api.js";
import { announce, button, h, icon, isBusy, replace, setBusy } from "./dom.js";
import { withToken } from "./dialogs.js";
import { codeName, plural, shown, time } from "./format.js";

const WHY = "Approvals need the right to approve, or the admin token.";
// What became of an approval, in words.
const RESOLVED = { approved: "Approved: the effect was written", rejected: "Rejected: nothing was written", dropped: "Dropped: decided again, the decision has no such effect any more, and nothing was written" };

export class ApprovalsView {
  constructor(_, context) {
    this.context = context;
    this.lead = h("p.lead", "Effects that are decided and not yet written");
    this.list = h("div.approvals");
    this.renew = button("Look again", { icon: "restart", onclick: () => { if (!isBusy(this.renew)) this.#load(); } });
    this.element = h("section.view.approvals-view",
      h("header.heading", h("div", h("h1", "Approvals"), this.lead), h("div.facts", this.renew)), this.list);
  }

  async begin([id]) {
    this.wanted = id ?? null;
    const details = await Promise.all(this.context.flows().map(({ flow }) => api.flow(flow)));
    if (this.ended) return;
    const effects = details.flatMap(({ flow, outcomes }) => outcomes.filter(({ approval }) => approval).map(({ status, effect, approval }) => ({ flow, status, effect, approval })));
    this.renew.hidden = !effects.length;
    if (!effects.length) {
      replace(this.list, h("section.empty", icon("check"), h("h2", "No decision needs an approval"), h("p", "No outcome of a flow that is served has an ", h("code", "approval"), ".")));
      return;
    }
    // By effect: what its parameters are, as they are written.
    this.written = new Map(details.flatMap(({ flow, effects: all }) => all.map(({ name, statements }) => [`${flow} ${name}`, statements.map(({ params }) => params)])));
    this.rules = h("ul.approval-rules", effects.map(({ flow, status, effect, approval }) => h("li", h("strong", flow), ": ", h("code", effect), " of ", h("strong", status), " waits if ", h("code", approval))));
    this.#invite();
    if (api.present()) await this.#load();
  }

  end() { this.ended = true; }

  show([id]) {
    this.wanted = id ?? null;
    this.#point();
  }

  #invite() {
    replace(this.list, h("section.card.invite", h("p", WHY), this.rules, h("div.row", button("Show what waits", { icon: "check", primary: true, onclick: () => this.#load() }))));
  }

  async #load() {
    setBusy(this.renew, true);
    try {
      const found = await allowed((token) => api.approvals(token));
      if (this.ended || !found) return;
      this.cards = found.approvals.map((approval) => new ApprovalCard(approval, this.written.get(`${approval.flow} ${approval.effect}`) ?? []));
      const count = this.cards.length;
      replace(this.lead, count ? `${plural(count, "effect")} ${count === 1 ? "waits" : "wait"} for an approval` : "Nothing waits for an approval");
      announce(this.lead.textContent);
      replace(this.list, count ? this.cards.map(({ element }) => element) : h("section.card.invite", h("p", icon("check"), " Nothing waits."), this.rules));
      this.#point();
    } catch (error) {
      const { title, detail } = api.problemOf(error);
      if (!this.ended) replace(this.list, h("section.card.invite", h("p.notice.bad", icon("alert"), h("span", h("strong", title), " ", detail ?? "")), this.rules));
    } finally {
      setBusy(this.renew, false);
    }
  }

  #point() {
    const card = this.cards?.find(({ id }) => id === this.wanted);
    card?.open();
    card?.element.scrollIntoView({ block: "nearest" });
  }
}

// Asks as the caller where that is enough, and otherwise with the admin token.
async function allowed(work) {
  if (api.present()) {
    try {
      return await work(api.present());
    } catch (error) {
      if (!["forbidden", "unauthorized"].includes(error.problem?.code)) throw error;
    }
  }
  return withToken(WHY, work);
}

class ApprovalCard {
  // `written`: the expressions of the parameters, by statement.
  constructor(approval, written) {
    this.written = written;
    this.id = approval.id;
    this.approval = approval;
    const { status, message } = approval.answer ?? {};
    this.now = h("div.since");
    this.note = h("input", { type: "text", id: `note-${this.id}`, autocomplete: "off", maxlength: "500" });
    this.approve = button("Approve", { icon: "check", primary: true, onclick: () => this.#resolve("approve") });
    this.reject = button("Reject", { icon: "cross", onclick: () => this.#resolve("reject") });
    this.acts = h("div.acts", { hidden: true }, h("div.field", h("label", { for: this.note.id }, h("span", "Note"), h("span.type", "kept with it")), this.note), h("div.row", this.approve, this.reject));
    this.result = h("div.result", { role: "status" });
    const caller = approval.caller || "a caller without a token";
    const inputs = Object.entries(approval.input ?? {});
    this.opener = button("See what has changed, and decide", { onclick: () => this.open() });
    this.element = h("article.card.approval", { "aria-labelledby": `approval-${this.id}` },
      h("header", h("h2", { id: `approval-${this.id}` }, message ?? `${approval.effect} of ${approval.flow}`), h("span.pill", { "data-state": "degraded" }, h("span.sign-place", icon("alert")), h("span.word", "waits"))),
      h("dl.pairs",
        h("dt", "decided"), h("dd", h("strong", approval.flow), " ended as ", h("strong", status ?? "?"), ", ", time(approval.at), ", for ", caller),
        h("dt", "would write"), h("dd", h("code", approval.effect)),
        inputs.length > 0 && [h("dt", "inputs"), h("dd", inputs.map(([name, value], index) => [index > 0 && ", ", h("code", name), " ", shown(value)]))],
        h("dt", "key"), h("dd", h("code", approval.key)),
        h("dt", "id"), h("dd", h("code", this.id))),
      h("details.raw", { "data-key": `params ${this.id}` }, h("summary", "Parameters of its statements"), statements(approval.params, written)),
      this.opener, this.now, this.acts, this.result);
  }

  // Decides again on the rows of now, and tells what is another than when it was asked for.
  async open() {
    if (isBusy(this.opener)) return;
    setBusy(this.opener, true);
    try {
      const { now, state, resolution } = await allowed((token) => api.approval(this.id, token)) ?? {};
      if (state === undefined) return;
      if (state !== "pending") {
        this.#done(state, resolution);
        return;
      }
      this.version = now.version ?? null;
      this.opener.hidden = true;
      this.acts.hidden = false;
      // Where the decision has no such effect by now there is nothing to approve.
      this.approve.hidden = this.version === null;
      replace(this.now, difference(now, this.written));
    } catch (error) {
      this.#fail(error);
    } finally {
      setBusy(this.opener, false);
    }
  }

  async #resolve(action) {
    if (isBusy(this.approve)) return;
    [this.approve, this.reject].forEach((each) => setBusy(each, true));
    const note = this.note.value.trim();
    // Who has seen what has changed approves what is now; whatever changes after that is refused.
    const body = { action, ...(note && { note }), ...(action === "approve" && this.version && { version: this.version }) };
    try {
      const answer = await allowed((token) => api.resolve(this.id, body, token));
      if (answer) this.#done(answer.state, answer.resolution);
    } catch (error) {
      this.#fail(error);
      if (error.problem?.code === "approval_changed") {
        this.opener.hidden = false;
        this.acts.hidden = true;
      }
    } finally {
      [this.approve, this.reject].forEach((each) => setBusy(each, false));
    }
  }

  #done(state, resolution) {
    this.element.dataset.resolved = state;
    const pill = this.element.querySelector(".pill");
    pill.dataset.state = state === "approved" ? "ready" : "stopped";
    replace(pill, h("span.sign-place", icon(state === "approved" ? "check" : "cross")), h("span.word", state));
    [this.opener, this.acts].forEach((each) => { each.hidden = true; });
    replace(this.now);
    replace(this.result, h("p", RESOLVED[state] ?? state, resolution?.by && ` by ${resolution.by}`, "."));
  }

  #fail(error) {
    const { title, detail } = api.problemOf(error);
    replace(this.result, h("p.notice.bad", icon("alert"), h("span", h("strong", title), " ", detail ?? "")));
  }
}

// The fields of the answer and the parameters that are others by now.
function difference({ version, changes }, written) {
  if (version === undefined) return h("p.notice", icon("alert"), h("span", "On the rows of now the decision has this effect no more. Reject it, or look again later."));
  if (!changes.length) return h("p.same", icon("check"), " Nothing has changed since: the decision on the rows of now is the same.");
  return [h("h3", `What has changed since (${changes.length})`), h("div.scroll", { tabindex: "0", role: "region", "aria-label": "What has changed since" }, h("table.plain.changes",
    h("thead", h("tr", ["field", "decided", "now"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", changes.map(({ field, before, after }) => h("tr", h("th", { scope: "row" }, fieldName(field, written)), h("td", h("span.before", shown(before))), h("td", h("span.after", shown(after))))))))];
}

// "answer.total" is the field total of the answer; "params[0][4]" the fifth parameter of the first statement, which is an expression.
function fieldName(field, written) {
  const [, statement, place] = /^params\[(\d+)\]\[(\d+)\]$/.exec(field) ?? [];
  if (place === undefined) return codeName(field.replace(/^answer\./, ""));
  return [codeName(written[statement]?.[place] ?? field), h("span.muted", ` $${Number(place) + 1}${written.length > 1 ? ` of statement ${Number(statement) + 1}` : ""}`)];
}

const statements = (params, written) => h("ol.statements", (Array.isArray(params) ? params : []).map((values, index) => h("li", written.length > 1 && h("p.muted", `Statement ${index + 1}`),
  h("dl.pairs", (Array.isArray(values) ? values : [values]).map((value, place) => [h("dt", h("code.param", `$${place + 1}`), " ", h("code", written[index]?.[place] ?? "")), h("dd", shown(value))])))));
