// What would change a decision: a number is chosen, and the service searches the values at which the outcome is another.

import { titled } from "./anatomy.js";
import { h, icon, isBusy, setBusy, replace } from "./dom.js";
import { prose, shown } from "./format.js";
import { isMap, isNum } from "./json.js";

// The choice of a number, and below it what `search` gives for it: an element, or null without the token that it needs.
export function flipPart(explain, input, search) {
  const owners = [["input", input], ...explain.nodes.map(({ node, value }) => [node, value])];
  const groups = owners.map(([owner, value]) => h("optgroup", { label: owner }, numbers(owner, value).map((fact) => h("option", { value: fact }, fact))));
  const known = groups.filter((group) => group.childElementCount > 0);
  if (!known.length) return null;
  const fact = h("select", { id: "flip-fact" }, known);
  const begin = h("button.button", { type: "submit" }, icon("search"), h("span", "Search"));
  const found = h("div.flip-found", { role: "status" });
  const onsubmit = async (event) => {
    event.preventDefault();
    if (isBusy(begin)) return;
    setBusy(begin, true);
    try {
      const words = await search(fact.value);
      if (words) replace(found, words);
    } finally { setBusy(begin, false); }
  };
  return titled("What would change this?", "The nearest values of one number at which a search finds another outcome",
    h("form.flip", { onsubmit }, h("label", { for: fact.id }, "Number"), h("div.row", fact, begin)), found);
}

const numbers = (owner, value) => (isMap(value) ? Object.entries(value).filter(([, each]) => isNum(each)).map(([name]) => `${owner}.${name}`) : []);

// What a search found, in words.
export function flipWords({ fact, value, ending, below, above, below_bound: least, above_bound: most }) {
  return [
    h("p", h("code", fact), " is ", shown(value), ": ", h("strong", ending), "."),
    h("ul.because", side("Higher", ending, above, most), side("Lower", ending, below, least)),
  ];
}

function side(word, ending, edge, bound) {
  if (edge) {
    const message = edge.decision?.message;
    return h("li", `${word}: at `, shown(edge.last), " still ", ending, ", at ", shown(edge.first), " ", h("strong", edge.ending), message && [": ", h("bdi", message)], !message && ".");
  }
  if (bound) return h("li", `${word}: as far as `, shown(bound.last), " still ", ending, ". No further value could be tried: ", prose(bound.why), ".");
  return h("li", `${word}: no other outcome was found.`);
}
