// Elements made from data. Text only ever becomes text: nothing here, or anywhere else in the console, parses markup.

const SVG = "http://www.w3.org/2000/svg";

// Characters that would reorder or hide what stands around them are shown by their number.
// Joiners (U+200C, U+200D) are spelling in some scripts, and stay.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

export function visible(text) {
  return String(text).replace(HIDDEN, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return element;
}

function apply(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", [element.getAttribute("class"), value].filter(Boolean).join(" "));
    else if (name === "style") Object.entries(value).forEach(([key, text]) => element.style.setProperty(key, text));
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
}

function make(create, spec, rest) {
  const [tag, ...classes] = spec.split(".");
  const element = create(tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  const [first] = rest;
  const hasProps = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  if (hasProps) apply(element, first);
  return append(element, hasProps ? rest.slice(1) : rest);
}

// h("button.primary", { onclick }, "Run"): an element of HTML.
export const h = (spec, ...rest) => make((tag) => document.createElement(tag), spec, rest);

// The same of SVG.
export const s = (spec, ...rest) => make((tag) => document.createElementNS(SVG, tag), spec, rest);

export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

// Changes text only where it differs, so that screen readers and layout are left in peace.
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

const ICONS = {
  database: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3v12c0 1.7-3.6 3-8 3s-8-1.3-8-3zM4 6c0 1.7 3.6 3 8 3s8-1.3 8-3M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  rules: "M5 4h14v16H5zM8.5 9h7M8.5 13h7M8.5 17h4",
  input: "M4 12h12M11 7l5 5-5 5M20 4v16",
  outcome: "M5 21V4h11l-2 4 2 4H5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  down: "M12 4v12M7 11l5 5 5-5M4 20h16",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  play: "M7 4.5v15l12-7.5z",
  check: "M4 12.5l5 5L20 6.5",
  cross: "M6 6l12 12M18 6L6 18",
  alert: "M12 3l10 18H2zM12 10v5M12 18v.5",
  restart: "M20 12a8 8 0 1 1-2.3-5.7M20 3v4.5h-4.5",
  sun: "M12 7.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3L19 19M5 19l1.7-1.7M17.3 6.7L19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  auto: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 3v18",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  undo: "M9 5L4 10l5 5M4 10h10a6 6 0 0 1 0 12h-2",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4.2 4.2 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4.2 4.2 0 0 0 6 6l1-1",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  terminal: "M4 5h16v14H4zM7.5 9.5l3 2.5-3 2.5M12.5 15h4",
  test: "M9 3h6M10 3v6l-5 10a1.5 1.5 0 0 0 1.3 2h11.4a1.5 1.5 0 0 0 1.3-2L14 9V3M7.5 15h9",
  back: "M11 5l-7 7 7 7M4 12h16",
};

export function icon(name) {
  return s("svg.icon", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
}

export function button(label, { icon: sign, quiet, primary, danger, onclick, title, disabled, ...more } = {}) {
  const kind = [primary && "primary", quiet && "quiet", danger && "danger"].filter(Boolean).join(" ");
  return h("button.button", { type: "button", class: kind, onclick, title, disabled, ...more }, sign && icon(sign), h("span", label));
}

// A button that is only a sign; `label` is its name.
export function signButton(label, sign, onclick, more = {}) {
  return h("button.sign", { type: "button", "aria-label": label, title: label, onclick, ...more }, icon(sign));
}

// Puts a text on the clipboard; whether that was done.
export async function copyText(text, near = document.body) {
  if (navigator.clipboard && window.isSecureContext) {
    return navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  // Without TLS browsers lend no clipboard; a selection that is copied does the same. While a dialog is open, only what
  // is within it can be selected.
  const focused = document.activeElement;
  const area = h("textarea.offscreen", { "aria-hidden": "true" });
  area.value = text;
  (near.closest("dialog") ?? document.body).append(area);
  area.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { /* It is not to be had. */ }
  area.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

// Tells something to whoever listens instead of looking. While a dialog is open, only what is within it is heard.
export function announce(text, near = document.body) {
  const home = near.closest("dialog") ?? document.body;
  let place = home.querySelector(":scope > .announcer");
  if (!place) {
    place = h("p.sr.announcer", { role: "status" });
    home.append(place);
  }
  place.textContent = "";
  // A region is heard where it changes, so it has to be there before.
  setTimeout(() => setText(place, text), 60);
}

// A button that is busy keeps its focus; what it does is held back by whoever asks `isBusy`.
export function setBusy(button, busy) {
  if (busy) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}
export const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

// What a browser remembers for the page, where it may.
export const remembered = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* It lasts as long as the page, then. */ } },
};

export function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A copying button that says that it has copied.
export function copyButton(label, text, { sign = "copy", quiet = true } = {}) {
  const name = h("span", label);
  let rest = 0;
  const done = async ({ currentTarget: button }) => {
    const said = await copyText(typeof text === "function" ? text() : text, button) ? "Copied" : "Not copied";
    name.textContent = said;
    announce(said === "Copied" ? said : "The browser did not let it be copied", button);
    clearTimeout(rest);
    rest = setTimeout(() => { name.textContent = label; }, 1_600);
  };
  return h("button.button.copies", { type: "button", class: quiet && "quiet", onclick: done }, icon(sign), name);
}
