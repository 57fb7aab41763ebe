// Shapes and scales of what is drawn.

import { h, replace, s } from "./dom.js";

// The end or the step of an axis: an even number that is not far off.
export function nice(number) {
  if (!(number > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= number * (1 - 1e-9)) ?? number;
}

// The room that boxes take, without that of a legend.
export function bounds({ width, height, boxes }) {
  const lowest = Math.max(...boxes.map((box) => box.y + box.height), 0);
  return { width, height: Math.min(height, lowest + 24) };
}

// A box of rules has its corners cut.
export function chamfered({ width, height }) {
  const cut = 9;
  return `M${cut} 0H${width - cut}L${width} ${cut}V${height - cut}L${width - cut} ${height}H${cut}L0 ${height - cut}V${cut}Z`;
}

// Curves between layers, level through them.
export function curve([[x, y], ...rest]) {
  let path = `M${x} ${y}`;
  rest.forEach(([toX, toY], index) => {
    const bend = (x + toX) / 2;
    path += index % 2 === 0 ? `C${bend} ${y} ${bend} ${toY} ${toX} ${toY}` : `L${toX} ${toY}`;
    [x, y] = [toX, toY];
  });
  return path;
}

// The condition of an arrow, where the layout keeps room for it.
export const condition = ({ condition: text, label }, number) => s("text.condition", { x: label.x, y: label.y + 12, "data-arrow": number }, s("title", text), label.text);

// The names of the domains with their colours.
export function legend(domains, colour) {
  const element = h("ul.legend", { "aria-label": "Domains" });
  return replace(element, domains.map((name) => h("li", { class: `d${colour(name)}` }, h("span.swatch"), name)));
}
