// Taking a training image out of the model: first what that would change, then whether to do it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { t } from "../texts.js";
import { note, openDialog } from "./dialogs.js";
import { icon } from "./icons.js";
import { baseName, previewOf } from "./preview.js";
import { putBack } from "./put_back.js";

/**
 * Show in a dialog what the model would be without an image, and take it out once that is accepted.
 * @param {string} model
 * @param {{image: string, link: string, is_at_hand: boolean}} training as of `GET …/training-images`
 */
export function takeOut(model, { image, link, is_at_hand: isAtHand }) {
  let preview = null;
  let isBusy = false;
  let attempt = 0; // of a preview; an older answer is dropped

  const place = h("div", { class: "removal-place" });
  const why = h("input", { type: "text", maxlength: 500, autocomplete: "off" });
  const force = h("input", { type: "checkbox", onchange: () => { accepting.disabled = !force.checked; } });
  const accepting = h("button", { type: "submit", class: "button button-grave" }, h("span", {}, t("removal.accept")), h("kbd", {}, t("key.Enter")));
  const forcing = h("label", { class: "check" }, force, h("span", {}, t("removal.force")));
  const actions = h("div", { class: "removal-actions" },
    h("label", { class: "field" }, h("span", {}, t("field.why")), why), forcing,
    h("div", { class: "buttons" }, h("button", { type: "button", class: "button", onclick: () => dialog.close() }, t("dialog.cancel")), accepting));
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); accept(); } },
    h("div", { class: "removal-image" },
      isAtHand && h("img", { src: link, alt: "" }),
      h("div", {}, h("p", { class: "strong image-name" }, image), h("p", { class: "quiet small" }, t("removal.hint")))),
    place, actions);
  const dialog = openDialog(t("removal.title"), "dialog-removal", form);
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.closest("button, a, summary, input")) return;
    event.preventDefault();
    form.requestSubmit();
  });
  const stop = on("edit", (edit) => edit.model === model && !isBusy && failed(t("lesson.modelChanged")));
  dialog.addEventListener("close", () => { attempt += 1; stop(); });

  const ask = (more) => api.remove(model, { images: [image], why: why.value.trim(), force: false, ...more });

  async function tryIt() {
    const mine = ++attempt;
    preview = null;
    actions.hidden = true;
    replace(place, h("div", { class: "working", role: "status" }, h("span", { class: "spinner" }), h("p", {}, t("removal.trying"))));
    try {
      const answer = await ask({ dry_run: true });
      if (mine === attempt) show(answer);
    } catch (error) {
      if (mine === attempt) failed(error.message);
    }
  }

  function show(answer) {
    preview = answer;
    const isRefused = answer.refusals?.length > 0;
    const others = (answer.removed ?? []).filter((name) => name !== image);
    force.checked = false;
    forcing.hidden = !isRefused;
    accepting.disabled = isRefused;
    actions.hidden = false;
    replace(place, previewOf(answer, (change) => baseName(change.image)),
      others.length > 0 && h("details", { class: "small" }, h("summary", {}, t("removal.others", { n: others.length })),
        h("ul", { class: "plain" }, others.map((name) => h("li", {}, name)))));
    dialog.querySelector("h2").focus({ preventScroll: true });
  }

  function failed(message) {
    attempt += 1;
    preview = null;
    actions.hidden = true;
    replace(place, h("div", { class: "refused", role: "alert" }, icon("warning"), h("p", {}, message)),
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close() }, t("dialog.cancel")),
        h("button", { type: "button", class: "button", onclick: tryIt }, t("lesson.again"))));
  }

  async function accept() {
    if (!preview || isBusy || accepting.disabled) return;
    isBusy = true;
    accepting.disabled = true;
    try {
      const before = (await api.versions(model)).in_place;
      const answer = await ask({ dry_run: false, force: force.checked });
      isBusy = false;
      if (!answer.accepted) return show(answer);
      dialog.close();
      const undo = { before, version: answer.version, why: t("removal.undoWhy"), done: t("removal.undone", { image: baseName(image), version: answer.version }) };
      note(t("removal.done", { image: baseName(image), version: answer.version }),
        { action: { text: t("review.undoShort"), run: () => putBack(model, undo) } });
    } catch (error) {
      isBusy = false;
      failed(error.message);
    }
  }

  tryIt();
}
