// What is asked and told over the page: the admin token, a text to take along.

import { button, copyButton, download, h, icon, signButton } from "./dom.js";
import { block } from "./code.js";

// Kept in the memory of this page alone: it is gone when the page is.
let token = null;

// `lasting` dialogs belong to the page, the others to the view that opened them.
function open(title, content, { wide = false, lasting = false } = {}) {
  const dialog = h("dialog.dialog", { class: [wide && "wide", !lasting && "of-view"].filter(Boolean).join(" "), "aria-labelledby": "dialog-title" },
    h("header", h("h2", { id: "dialog-title" }, title), signButton("Close", "close", () => dialog.close())),
    content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// What a view opened goes with it.
export function closeDialogs() {
  document.querySelectorAll("dialog.of-view").forEach((dialog) => dialog.close());
}

// Asks for a token; null where it is not given.
export function askToken(label, why, { refused = false, lasting = false } = {}) {
  return new Promise((resolve) => {
    const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-why" });
    let given = null;
    const form = h("form.stack", {
      onsubmit: (event) => {
        event.preventDefault();
        given = field.value.trim();
        dialog.close();
      },
    },
    refused && h("p.notice.bad", { role: "alert" }, icon("alert"), "That token was not accepted."),
    h("p.muted", { id: "token-why" }, why, " The token is kept until this page is closed or loaded again."),
    h("label.field", h("span", label), field),
    h("div.row.end", button("Cancel", { quiet: true, onclick: () => dialog.close() }), h("button.button.primary", { type: "submit" }, h("span", "Continue"))));
    const dialog = open(label, form, { lasting });
    dialog.addEventListener("close", () => resolve(given || null));
    field.focus();
  });
}

// Does `work` with the token, asking for it as often as it is wrong; null where nobody gives one.
export async function withToken(why, work) {
  let refused = false;
  for (;;) {
    const given = token ?? await askToken("Admin token", why, { refused });
    if (!given) return null;
    try {
      const done = await work(given);
      token = given;
      return done;
    } catch (error) {
      if (error.problem?.code !== "unauthorized") throw error;
      token = null;
      refused = true;
    }
  }
}

// Shows a text to be copied or kept as a file.
export function showText(title, hint, { text, language, name, type }) {
  open(title, h("div.stack",
    h("p.muted", hint),
    block(text, language, title),
    h("div.row.end",
      copyButton("Copy", text, { quiet: false }),
      name && button(`Download ${name}`, { icon: "down", primary: true, onclick: () => download(name, text, type) }))), { wide: true });
}
