// Dialogs: the help, questions before something changes, and the short notes at the foot of the page.

import { h, replace } from "../dom.js";
import { areSingleKeysOn, groups, setSingleKeys } from "../keyboard.js";
import { t } from "../texts.js";
import { icon } from "./icons.js";

const NOTE_TIME = 8_000; // ms that a note stays; one with a button stays longer

/** A dialog with a title and what closes it, shown; it is removed once it is closed. */
export function openDialog(title, className, ...content) {
  const dialog = h(
    "dialog",
    { class: `dialog ${className}`, "aria-labelledby": "dialog-title", onclose: () => { removeEventListener("hashchange", leave); dialog.remove(); } },
    h("div", { class: "dialog-head" },
      h("h2", { id: "dialog-title", tabindex: -1 }, title),
      h("button", { type: "button", class: "tool", "aria-label": t("dialog.close"), title: t("dialog.close"), onclick: () => dialog.close() }, icon("close"))),
    content,
  );
  const leave = () => dialog.close(); // a link in it leads to another view
  addEventListener("hashchange", leave);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** The keys of what is shown, and the switch for single keys. */
export function showHelp() {
  const lists = groups().filter((group) => group.bindings.length).map((group) => h("section", {},
    h("h3", {}, group.title),
    h("dl", { class: "keys" }, group.bindings.map(({ keys, text }) => h("div", {},
      h("dt", {}, keys.map((key) => [h("kbd", {}, t(`key.${key}`) === `key.${key}` ? key.toUpperCase() : t(`key.${key}`)), " "])),
      h("dd", {}, text))))));
  const single = h("label", { class: "check" },
    h("input", { type: "checkbox", checked: areSingleKeysOn(), onchange: (event) => setSingleKeys(event.target.checked) }),
    h("span", {}, t("help.singleKeys")));
  openDialog(t("help.title"), "dialog-help",
    h("div", { class: "help-groups", tabindex: 0, role: "group", "aria-label": t("help.title") }, lists), single);
}

/**
 * Ask before something changes; gives the reason that was entered, or null for "no".
 * @param {{title: string, text: string, yes: string, asksWhy?: boolean, isGrave?: boolean}} question
 */
export function ask({ title, text, yes, asksWhy = false, isGrave = false }) {
  return new Promise((resolve) => {
    const why = h("input", { type: "text", id: "dialog-why", maxlength: 500, autocomplete: "off" });
    let answer = null;
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); answer = why.value; dialog.close(); } },
      h("p", {}, text),
      asksWhy && h("label", { class: "field", for: "dialog-why" }, h("span", {}, t("field.why")), why),
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close() }, t("dialog.cancel")),
        h("button", { type: "submit", class: isGrave ? "button button-grave" : "button button-main" }, yes)));
    const dialog = openDialog(title, "dialog-ask", form);
    (asksWhy ? why : form.querySelector("[type=submit]")).focus();
    dialog.addEventListener("close", () => resolve(answer));
  });
}

const notes = h("div", { class: "notes", role: "status", "aria-live": "polite" });

/** The place of the notes. */
export function notesPlace() {
  return notes;
}

/**
 * Say something at the foot of the page.
 * @param {string} text
 * @param {{isError?: boolean, action?: {text: string, run: () => void}}} options
 */
export function note(text, { isError = false, action = null } = {}) {
  const close = () => element.remove();
  const element = h("div", { class: `note-line ${isError ? "note-error" : ""}` },
    isError && icon("warning"),
    h("span", {}, text),
    action && h("button", { type: "button", class: "button button-small", onclick: () => { close(); action.run(); } }, action.text),
    h("button", { type: "button", class: "tool", "aria-label": t("dialog.dismiss"), title: t("dialog.dismiss"), onclick: close }, icon("close")));
  replace(notes, element); // the latest alone: they never pile up over the work
  if (!isError) setTimeout(close, action ? 2 * NOTE_TIME : NOTE_TIME);
}

/** Say that something failed; errors that are no answers of the station go to the console as well. */
export function noteError(error) {
  if (error.name === "AbortError") return;
  if (error.name !== "Error" || !("status" in error)) console.error(error);
  note(error.message, { isError: true });
}
