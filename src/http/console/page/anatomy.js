// What led to a decision: the parts of an explanation, as people read them.

import { block } from "./code.js";
import { h, icon, signButton } from "./dom.js";
import { codeName, duration, durations, leaves, plain, plural, prose, shown, time } from "./format.js";
import { compact, isMap, write } from "./json.js";
import { nice } from "./shapes.js";

// More nodes than this are folded up or scrolled.
const MANY = 8;
// So many fields that are gone are still shown with what they were.
const FEW = 4;

export const titled = (title, lead, ...content) => h("section.part.card", h("header.part-head", h("h2", title), lead && h("p.muted", lead)), content);

// How it ended, in one glance; `writing`: what became of its effect, where the request had a key.
export function outcome({ answer, problem, id, set, there_and_back: there }, explain, writing, actions) {
  const supposed = Object.keys(set).length > 0;
  const degraded = answer?.degraded;
  const badge = writing?.word && h("span.badge.wrote", { "data-word": writing.word }, icon(writing.sign), writing.word);
  const note = writing && h("p.wrote-note", writing.text);
  const figures = h("p.figures-line",
    explain && [h("span", "decided in ", h("strong.num", duration(explain.took_us))), h("span", "answered in ", h("strong.num", duration(there * 1000))), h("span", time(explain.clock.now))],
    id && h("span.request-id", "request ", h("code", id)));
  if (answer) {
    return h("div.verdict", { "data-kind": degraded ? "degraded" : answer.status === "success" ? "success" : "other" },
      h("div.verdict-head", h("span.badge", icon(degraded ? "alert" : "check"), answer.status), supposed && h("span.badge.if", "what if"), badge),
      answer.message && h("p.message", h("bdi", answer.message)),
      note,
      degraded && h("p.notice", icon("alert"), `A default stood in for ${degraded.join(", ")}.`),
      figures, actions);
  }
  const places = [problem.node && ["node", problem.node], problem.domain && ["domain", problem.domain], problem.sqlstate && ["SQLSTATE", problem.sqlstate]].filter(Boolean);
  return h("div.verdict", { "data-kind": "problem" },
    h("div.verdict-head", h("span.badge", icon("alert"), problem.code), supposed && h("span.badge.if", "what if"), problem.retryable && h("span.badge.soft", "worth trying again"), badge),
    h("p.message", problem.title),
    h("p", prose(problem.detail ?? "")),
    note,
    places.length > 0 && h("p.chips", places.map(([label, value]) => h("span.chip", `${label} `, h("strong", value)))),
    (problem.unset ?? []).length > 0 && h("p", "Without a value: ", named(problem.unset)),
    (problem.missing ?? []).length > 0 && h("p", "Missing: ", named(problem.missing.map(({ fact }) => fact))),
    (problem.waiting ?? []).length > 0 && h("div", h("p", "Rules that wait:"), h("ul", problem.waiting.map(({ node, rule, sets }) => h("li", h("bdi", rule), ` of ${node} would set `, named(sets))))),
    figures, actions);
}

// When each node waited, queried and decided.
export function timeline(explain, colour) {
  const total = Math.max(Number(explain.took_us), ...explain.nodes.map((node) => Number(node.start_us ?? 0) + Number(node.took_us ?? 0)), 1);
  const ran = explain.nodes.filter((node) => node.start_us !== undefined);
  const share = (micros) => `${(100 * Number(micros)) / total}%`;
  const all = explain.nodes.flatMap((node) => [node.start_us, node.wait_us, node.query_us, node.kind === "rules" ? node.took_us : undefined]);
  const inColumn = durations(all.filter((micros) => micros !== undefined));
  const { step, axis } = axisOf(total, share);
  const rows = explain.nodes.map((node) => {
    if (node.start_us === undefined) {
      return h("tr.idle", h("th", { scope: "row" }, node.node), h("td.lane", h("span.muted", node.state.replace("_", " "), node.because && h("bdi", `: ${node.because.join("; ")}`))), ["", "", "", ""].map((text) => h("td.num", text)));
    }
    const [wait, query, took] = [Number(node.wait_us ?? 0), Number(node.query_us ?? 0), Number(node.took_us)];
    const rest = Math.max(took - wait - query, 0);
    const bar = h("div.track", { "aria-hidden": "true" }, h("div.run", { style: { left: share(node.start_us), width: share(took) } },
      wait > 0 && h("span.wait", { style: { "flex-grow": String(wait) } }),
      query > 0 && h("span.query", { style: { "flex-grow": String(query) } }),
      rest > 0 && h("span", { class: node.kind === "rules" ? "decide" : "rest", style: { "flex-grow": String(rest) } })));
    const failed = !["done"].includes(node.state);
    return h("tr", { "data-timed": node.node, class: node.domain ? `d${colour(node.domain)}` : "deciding-row" },
      h("th", { scope: "row" }, h("span.swatch"), node.node, failed && h("span.badge.soft", { class: node.state }, node.state)),
      h("td.lane", bar),
      h("td.num", inColumn(node.start_us)),
      h("td.num", node.wait_us === undefined ? "" : inColumn(wait)),
      h("td.num", node.query_us === undefined ? "" : inColumn(query)),
      h("td.num", node.kind === "rules" ? inColumn(took) : ""));
  });
  const heads = ["node", "", "began", "waiting", "querying", "deciding"];
  return titled("Timeline", `${plural(ran.length, "node")} ran in ${duration(explain.took_us)}`,
    h("div.scroll", { class: rows.length > 3 * MANY && "tall", tabindex: "0", role: "region", "aria-label": "Timeline" }, h("table.timeline", { style: { "--step": step } }, h("thead", h("tr", heads.map((head, index) => h("th", { scope: "col", class: index > 1 && "num" }, head || [h("span.sr", "when"), axis])))), h("tbody", rows))),
    h("ul.legend.kinds", { "aria-label": "Kinds of time" }, [["wait", "waiting for a connection"], ["query", "querying"], ["decide", "deciding"], ["rest", "the way there and back through the service"]].map(([kind, text]) => h("li", h(`span.swatch.${kind}`), text))));
}

// Where the milliseconds are: a mark at each of a few even steps.
function axisOf(total, share) {
  const step = nice(total / 5);
  const unit = total >= 1_000_000 ? [1_000_000, "s"] : [1000, "ms"];
  const marks = [];
  for (let at = 0; at < total * 0.97; at += step) marks.push(at);
  const label = (at) => `${Number((at / unit[0]).toPrecision(6))}${at === 0 ? ` ${unit[1]}` : ""}`;
  return { step: share(step), axis: h("div.axis", { "aria-hidden": "true" }, marks.map((at) => h("span", { style: { left: share(at) } }, label(at)))) };
}

// The fields of the answer, each with the columns it comes from.
export function answerPart(answer, colour) {
  const { explain, status, message, what_if: supposed, ...body } = answer;
  // The approval that it waits for is told above.
  const fields = leaves(body).filter(([path]) => path && !path.startsWith("approval."));
  // A body that is one map needs its name but once.
  const roots = new Set(fields.map(([path]) => path.split(".")[0]));
  const root = roots.size === 1 && fields.length > 1 ? `${[...roots][0]}.` : "";
  const rows = fields.map(([path, value]) => h("tr",
    h("th", { scope: "row" }, codeName(path.slice(root.length))), h("td.is", shown(value)), h("td", lineageOf(explain?.lineage?.[path], colour, path))));
  return titled("Answer", root ? h("code", root.slice(0, -1)) : "Each field, and where it comes from",
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "The answer" }, h("table.plain.answer", h("thead", h("tr", ["field", "value", "comes from"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", rows))),
    h("details.raw", { "data-key": "json" }, h("summary", "As JSON"), block(write({ status, message, ...body }), "json", "The answer as JSON")));
}

// Where a field comes from: the nodes at a glance, columns and rules on demand.
function lineageOf(lineage, colour, path) {
  if (!lineage) return null;
  const columns = lineage.columns ?? [];
  const nodes = new Map(columns.map(({ node, domain }) => [node, domain]));
  const rules = [...new Map((lineage.rules ?? []).map((rule) => [`${rule.node} ${rule.rule}`, rule])).values()];
  const inputs = lineage.inputs ?? [];
  const glance = [
    [...nodes].map(([node, domain]) => h("span.origin", { class: `d${colour(domain)}` }, h("span.swatch"), node)),
    inputs.map((name) => h("span.origin", h("span.swatch"), `input.${name}`)),
    rules.length > 0 && h("span.muted", plural(rules.length, "rule")),
    // A constant, or what an effect returned.
    !nodes.size && !inputs.length && !rules.length && h("span.muted", "its expression"),
  ];
  return h("details.lineage", { "data-key": `field ${path}` }, h("summary", glance),
    h("dl.pairs",
      h("dt", "is"), h("dd", h("code", lineage.expression)),
      columns.length > 0 && [h("dt", "columns"), h("dd", columns.map(({ node, column }, index) => [index > 0 && ", ", h("code", `${node}.${column}`)]))],
      rules.length > 0 && [h("dt", "rules"), h("dd", h("ul", rules.map(({ rule, statement }) => h("li", h("bdi", rule), " ", h("code.muted", statement)))))]));
}

// Which outcomes were tried, and why they do not hold.
export function tried(explain, decided) {
  if (decided && explain.outcomes.length < 2) return null;
  if (!explain.outcomes.length) return null;
  return titled("Outcomes", decided ? "The first that holds is the answer" : "None holds",
    h("ol.outcomes", explain.outcomes.map(({ status, when, holds, because }) => h("li", { class: holds && "holds" },
      h("span.mark-place", icon(holds ? "check" : "cross"), h("span.sr", holds ? "holds" : "does not hold")),
      h("div", h("p", h("strong", status), when && [" when ", h("code", when)]), reasons(because))))));
}

const reasons = (because) => because?.length > 0 && h("ul.because", because.map((reason) => h("li", h("bdi", reason))));

const WHY = { condition_false: "condition is false", waiting: "waits for a fact", incomplete: "lacks a fact", not_yet_effective: "not yet effective", expired: "expired", overruled: "another row was chosen" };

// Rule by rule: what fired and changed what, and what kept the others from firing.
export function rulesPart(explain, details) {
  const all = explain.nodes.filter(({ fired }) => fired !== undefined);
  if (!all.length) return null;
  const tableOf = ({ node, fired, not_fired: notFired }) => {
    const table = details?.nodes.find(({ id }) => id === node)?.table;
    return table && decisionTable(table, new Set(fired.map(({ rule }) => rule)), new Map(notFired.map(({ rule, because }) => [rule, because])));
  };
  const columns = (node) => [tableOf(node), sides(node)];
  const sides = (node) => h("div.rules-columns",
    h("div", h("h3", "Fired, in order"), node.fired.length ? h("ol.fired", node.fired.map(fired)) : h("p.muted", "None.")),
    h("div", h("h3", "Did not fire"), node.not_fired.length ? h("ul.not-fired", node.not_fired.map(notFired)) : h("p.muted", "None: all of them fired."),
      node.further_rows > 0 && h("p.muted", `and ${plural(node.further_rows, "further row")}`)));
  const counts = (node) => `${node.fired.length} fired, ${node.not_fired.length} did not`;
  // A node that is one condition needs but a line.
  const isCondition = ({ node, value }) => details?.nodes.find(({ id }) => id === node)?.rules?.length === 1 && (value === undefined || (isMap(value) && Object.keys(value).join() === "result"));
  const nodes = all.filter((node) => !isCondition(node));
  const conditions = all.filter(isCondition);
  const list = conditions.length > 0 && h("div.conditions", conditions.map(conditionLine));
  const lines = list && titled("Conditions", plural(conditions.length, "node"), conditions.length > 3 * MANY ? h("details.raw", { "data-key": "conditions" }, h("summary", "Each with what it gave"), list) : list);
  if (nodes.length > MANY) {
    return [lines, titled("Rules", `of ${nodes.length} nodes`, nodes.map((node) => h("details.of-rules", { "data-node": node.node, "data-key": `rules ${node.node}` },
      h("summary", h("code", node.node), h("span.muted", ` ${counts(node)}`)), columns(node))))];
  }
  return [nodes.map((node) => h("section.part.card.of-rules", { "data-node": node.node, tabindex: "-1" },
    h("header.part-head", h("h2", "Rules of ", h("code", node.node)), h("p.muted", counts(node))),
    columns(node))), lines];
}

// A node of one condition: what it gave, or why it gave nothing.
function conditionLine({ node, value, fired: [rule], not_fired: [other] }) {
  const { place, because } = rule ?? other;
  return h("div.of-rules", { "data-node": node, tabindex: "-1" }, h("code", node), rule ? shown(value?.result) : h("span.badge.soft", WHY[other.why] ?? other.why), h("code.place", place), reasons(because));
}

// A decision table as it is written. The rows that gave their results are marked, and in the others the cells that kept them from it.
export function decisionTable({ hit, columns, rows, further }, chosen = new Set(), because = new Map()) {
  const isResult = (index) => columns[index]?.startsWith("then ");
  // The name of a row stands before it already.
  const seen = columns.map((_, index) => index).filter((index) => columns[index] !== "rule");
  const isKept = (rule, index) => columns[index]?.startsWith("when ") && (because.get(rule) ?? []).some((reason) => reason.startsWith(`${columns[index].slice("when ".length)} `));
  return h("div.decision-table",
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "The decision table" }, h("table.plain", h("caption.muted", "Hit policy ", h("code", hit)),
      h("thead", h("tr", h("th", { scope: "col" }, "row"), seen.map((index) => h("th", { scope: "col" }, h("code", columns[index]))))),
      h("tbody", rows.map(({ rule, cells }) => h("tr", { class: chosen.has(rule) && "chosen" },
        h("th", { scope: "row" }, h("bdi", rule), chosen.has(rule) && h("span.badge.soft", "matched")),
        seen.map((index) => {
          const kept = isKept(rule, index);
          return h("td", { class: [isResult(index) && "result", kept && "kept"].filter(Boolean).join(" ") }, h("code", cells[index]), kept && h("span.sr", " does not match"));
        })))))),
    because.size > 0 && h("p.muted.kept-hint", "✕ marks the cells that do not match."),
    further > 0 && h("p.muted", `and ${plural(further, "row")} more`));
}

// What became of an effect.
const WROTE = {
  placed: "written, in one transaction with the key and the answer",
  approved: "written after its approval",
  pending: "not written yet: it waits for an approval",
  stored: "nothing to write; the answer is kept with the key",
  conflicted: "not written: other transactions changed the same rows",
  unknown: "not known: the answer to COMMIT was lost; the same key asks for it",
  failed: "not written",
};

// The effect of the outcome: with which key, what its statements were given and returned, what the outbox announces.
export function effectPart(effect, details, key, context) {
  const known = details.effects.find(({ name }) => name === effect.effect);
  const state = effect.result ? WROTE[effect.result] ?? effect.result : effect.needs_approval ? "not written, because the request had no key; with one it would wait for an approval" : "not written, because the request had no key";
  const { event } = effect;
  return h("section.part.card.placed-part",
    h("header.part-head", h("h2", "Effect ", h("code", effect.effect)), h("p.muted", effect.result ?? "only decided")),
    h("dl.pairs",
      h("dt", "state"), h("dd", effect.failed ? `cannot be written: ${effect.failed}` : state),
      h("dt", "writes to"), h("dd", h("a.chip.domain", { class: `d${context.colour(effect.domain)}`, href: context.link("domains", [effect.domain]) }, h("span.swatch"), effect.domain)),
      key !== null && [h("dt", "key"), h("dd", h("code", key))],
      event && [h("dt", "announces"), h("dd", h("code", event.type), event.key !== undefined && [" of ", h("code", event.key)], event.id ? [", row ", h("code", event.id), " of the outbox"] : ", once it is written")]),
    effect.statements.map(({ params, returned }, index) => h("div.effect",
      h("h3", effect.statements.length > 1 ? `Statement ${index + 1}` : "Its statement"),
      returned !== undefined && h("p", "Returned ", isMap(returned) ? Object.entries(returned).map(([name, value], place) => [place > 0 && ", ", h("code", name), " ", h("strong", shown(value))]) : shown(returned)),
      h("details.raw", { "data-key": `effect ${effect.effect} ${index}` }, h("summary", params ? plural(params.length, "parameter") : "Its parameters need a row that is not written"),
        params && h("div.scroll", { tabindex: "0", role: "region", "aria-label": `Parameters of ${effect.effect}` }, h("table.plain", h("thead", h("tr", ["parameter", "is", "value"].map((head) => h("th", { scope: "col" }, head)))),
          h("tbody", params.map((value, place) => h("tr", h("th", { scope: "row" }, h("code.param", `$${place + 1}`)), h("td", h("code", known?.statements[index]?.params[place] ?? "")), h("td", shown(value)))))))))));
}

const ruleHead = ({ rule, description, place }, ...more) => [
  h("p.rule-head", h("strong", h("bdi", rule)), more, h("code.place", place)),
  description && h("p.muted.said", description),
];

function fired(rule) {
  return h("li", h("div.rule-body", ruleHead(rule),
    rule.facts.length > 0 && h("ul.writes", rule.facts.map(({ fact, before, after }) => h("li",
      h("code", fact), h("span.change", h("span.before", shown(before)), h("span.arrow-sign", { "aria-label": "becomes", role: "img" }, "→"), h("span.after", shown(after)))))),
    rule.log && h("ul.log", rule.log.map((line) => h("li", h("bdi", line))))));
}

const named = (facts) => facts.map((fact, index) => [index > 0 && ", ", h("code", fact)]);

const notFired = (rule) => h("li", h("div.rule-body", ruleHead(rule, h("span.badge.soft", WHY[rule.why] ?? rule.why)), reasons(rule.because),
  rule.would_set && h("p.muted", "Would have set ", named(rule.would_set))));

// All facts of the run, each to be supposed otherwise.
export function factsPart(explain, suppose, supposed, may) {
  const nodes = explain.nodes.filter(({ kind, value }) => value !== undefined && (isMap(value) || (kind === "query" && (value === null || Array.isArray(value)))));
  if (!nodes.length) return null;
  const row = (fact, value) => h("tr", h("th", { scope: "row" }, h("code", fact.split(".").slice(1).join("."))), h("td", shown(value)),
    may && h("td.act", signButton(`Suppose another ${fact}`, "edit", () => suppose(fact, value), { class: supposed.has(fact) && "on" })));
  return titled("Facts", may ? "Change one and decide again: what if?" : "To suppose others, set ADMIN_TOKEN, and open the console where the admin endpoints are",
    h("div.fact-groups", nodes.map((node) => h("details.facts-of", { class: isWide(node) && "wide", "data-node": node.kind === "query" ? node.node : null, "data-key": `facts ${node.node}`, open: node.kind === "query" },
      h("summary", h("code", node.node), h("span.muted", node.kind === "query" ? `${node.domain}, ${plural(node.rows ?? 0, "row")}${node.staleness_us === undefined ? "" : `, at most ${duration(node.staleness_us)} older than the query`}` : "what its rules wrote; other nodes then read what is supposed")),
      isMap(node.value) ? h("table.plain", h("tbody", Object.entries(node.value).map(([name, value]) => row(`${node.node}.${name}`, value)))) : rowsOf(node, may, suppose, supposed)))));
}

// Rows of many columns have the whole width.
const isWide = ({ value }) => Array.isArray(value) && isMap(value[0]) && Object.keys(value[0]).length > 4;

// Rows of which there may be any number are shown, and supposed, as a whole.
const MOST_ROWS = 20;
function rowsOf({ node, value }, may, suppose, supposed) {
  const rows = value ?? [];
  const columns = [...new Set(rows.flatMap((row) => (isMap(row) ? Object.keys(row) : [])))];
  return h("div.rows",
    rows.length ? h("div.scroll", { tabindex: "0", role: "region", "aria-label": `Rows of ${node}` }, h("table.plain", h("thead", h("tr", columns.map((name) => h("th", { scope: "col" }, h("code", name))))), h("tbody", rows.slice(0, MOST_ROWS).map((row) => h("tr", columns.map((name) => h("td", shown(row[name])))))))) : h("p.muted", "No row."),
    rows.length > MOST_ROWS && h("p.muted", `and ${rows.length - MOST_ROWS} more`),
    may && h("div.row.end", h("button.button.quiet", { type: "button", "aria-label": `Suppose other rows of ${node}`, class: supposed.has(node) && "on", onclick: () => suppose(node, value) }, icon("edit"), h("span", "Suppose other rows"))));
}

// What is another answer than without the supposition.
export function changes(base, result) {
  if (!base) return null;
  const facts = Object.entries(result.set).map(([fact, value]) => h("li", h("code", fact), " = ", Array.isArray(value) || isMap(value) ? h("span.value.json", clipped(plain(value))) : shown(value)));
  const ending = ({ answer, problem }) => answer?.status ?? problem.code;
  const rows = [];
  const compare = (label, before, after) => {
    if (text(before) !== text(after)) rows.push(h("tr", h("th", { scope: "row" }, codeName(label)), h("td", h("span.before", cell(before))), h("td", h("span.after", cell(after)))));
  };
  compare("status", ending(base), ending(result));
  compare("message", base.answer?.message ?? base.problem?.detail, result.answer?.message ?? result.problem?.detail);
  const fieldsOf = ({ answer }) => {
    const { explain, status, message, what_if: supposed, ...body } = answer ?? {};
    return new Map(leaves(body).filter(([path]) => path));
  };
  const [before, after] = [fieldsOf(base), fieldsOf(result)];
  // Of an answer of another kind many fields are gone: their names are enough.
  const lost = [...before.keys()].filter((path) => !after.has(path));
  const gone = lost.length > FEW ? lost : [];
  for (const path of new Set([...after.keys(), ...before.keys()])) if (!gone.includes(path)) compare(path, before.get(path), after.get(path));
  return titled("What changes", rows.length ? null : "Nothing: the answer stays the same.",
    h("p.supposition", "If ", h("ul.inline", facts)),
    rows.length > 0 && h("div.scroll", { tabindex: "0", role: "region", "aria-label": "What changes" }, h("table.plain.changes", h("thead", h("tr", ["field", "now", "then"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", rows))),
    gone.length > 0 && h("p.gone", "No longer in the answer: ", gone.map((path, index) => [index > 0 && ", ", h("code", path)])));
}

const clipped = (long) => (long.length > 160 ? `${long.slice(0, 159)}…` : long);

const text = (value) => (value === undefined ? "" : typeof value === "string" ? value : compact(value));
const cell = (value) => (value === undefined ? h("span.muted", "–") : shown(value));

