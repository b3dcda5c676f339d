// Good, defect or skip; then what teaching would change; then accept, only note it, or go back.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bind } from "../keyboard.js";
import { t } from "../texts.js";
import { icon } from "./icons.js";
import { previewOf } from "./preview.js";

/**
 * The panel beside the image in review.
 * @param {{painter: object, onDone: (what: object) => void}} options
 */
export function lessonPanel({ painter, onDone }) {
  let inspection = null;
  let model = null;
  let label = null; // "good" | "defect" that is being previewed
  let preview = null;
  let isStale = false;
  let busy = false;
  let ready = Promise.resolve(); // once the model is known
  let attempt = 0; // of a preview; an older answer is dropped
  let kind = ""; // of the defect
  let unbindKinds = () => {};

  const message = h("p", { class: "panel-message", role: "status", hidden: true });
  const place = h("div", { class: "panel-place" });
  const otherKind = h("input", { type: "text", maxlength: 64, autocomplete: "off", onkeydown: leaveOnEscape });
  const why = h("input", { type: "text", maxlength: 500, autocomplete: "off", onkeydown: leaveOnEscape });
  const group = h("input", { type: "text", maxlength: 200, autocomplete: "off", onkeydown: leaveOnEscape });
  const fields = h("div", { class: "panel-fields" },
    h("label", { class: "field" }, h("span", {}, t("field.why")), why),
    h("details", {}, h("summary", {}, t("field.more")), h("label", { class: "field" }, h("span", {}, t("field.group")), group, h("span", { class: "quiet small" }, t("field.groupHint")))));
  const element = h("div", { class: "panel" }, message, place);
  painter.listen(() => { if (label === "defect" && !(busy && preview)) stale(t("lesson.maskChanged")); });

  function open(next) {
    inspection = next;
    [kind, otherKind.value, why.value, group.value] = ["", "", "", ""];
    model = null;
    reset();
    ready = api.model(next.model).then(
      (known) => {
        if (inspection !== next) return;
        model = known;
        if (!label) showChoice();
      },
      () => {}, // the station says why when it is to be taught
    );
  }

  function reset() {
    attempt += 1;
    unbindKinds();
    [label, preview, isStale, busy] = [null, null, false, false];
    say("");
    showChoice();
  }

  function say(text, isError = false) {
    message.hidden = !text;
    message.classList.toggle("panel-error", isError);
    replace(message, isError ? icon("warning") : null, h("span", {}, text));
  }

  function showChoice() {
    const choice = (name, text, hint) => h("button", { type: "button", class: `choice choice-${name}`, onclick: () => choose(name) },
      h("span", { class: "choice-name" }, text, h("kbd", {}, t(`key.choice.${name}`))), h("span", { class: "choice-hint" }, hint));
    const blocked = model && model.can_be_taught === false;
    replace(place,
      h("div", { class: "choices" },
        choice("good", t("lesson.good"), t(inspection?.verdict === "pass" ? "lesson.goodHintPass" : "lesson.goodHint")),
        choice("defect", t("lesson.defect"), t("lesson.defectHint")),
        choice("skip", t("lesson.skip"), t("lesson.skipHint"))),
      blocked && h("p", { class: "remark" }, t("lesson.cannot", { why: model.why_not ?? "" })),
      fields,
      h("p", { class: "quiet small" }, t("lesson.paintHint")));
  }

  async function choose(name) {
    if (busy || !inspection) return;
    unbindKinds();
    if (name === "skip") return decide("skip");
    label = name;
    const mine = ++attempt;
    busy = true;
    [preview, isStale] = [null, false];
    say("");
    replace(place, h("div", { class: "working" }, h("span", { class: "spinner" }), h("p", {}, t(`lesson.trying.${name}`))));
    if (name === "defect") await ready;
    if (mine !== attempt) return;
    if (name === "defect" && kinds().length && !kind) {
      busy = false;
      return askKind();
    }
    try {
      const answer = await api.teach(inspection.model, lesson({ dry_run: true }));
      if (mine !== attempt) return;
      preview = answer;
      if (name === "defect" && painter.isEmpty && answer.proposed_mask) {
        await painter.propose(answer.proposed_mask);
        say(t("lesson.proposed"));
      }
      busy = false;
      showPreview({ isNew: true });
    } catch (error) {
      if (mine !== attempt) return;
      busy = false;
      showFailure(error);
    }
  }

  function kinds() {
    return model?.training_images?.kinds ?? [];
  }

  /** Ask of which kind the defect is, where the model tells kinds apart: a key each. */
  function askKind() {
    preview = null;
    say("");
    const take = (name) => {
      kind = name.trim();
      if (kind) choose("defect");
    };
    const names = kinds().slice(0, 9);
    unbindKinds = bind(t("lesson.whichKind"), names.map((name, i) => ({ keys: [String(i + 1)], text: name, run: () => take(name) })));
    replace(place,
      h("h2", { class: "panel-title", tabindex: -1 }, t("lesson.whichKind")),
      h("div", { class: "kinds" }, names.map((name, i) => h("button", { type: "button", class: "button", onclick: () => take(name) }, h("span", {}, name), h("kbd", {}, String(i + 1))))),
      h("form", { class: "kind-form", onsubmit: (event) => { event.preventDefault(); take(otherKind.value); } },
        h("label", { class: "field" }, h("span", {}, t("lesson.otherKind")), otherKind),
        h("button", { type: "submit", class: "button" }, t("lesson.takeKind"))),
      h("div", { class: "buttons" }, noteButton(), backButton()));
    place.querySelector("h2").focus({ preventScroll: true });
  }

  function lesson(more) {
    const isDefect = label === "defect";
    return {
      inspection: inspection.id, label, mask: isDefect ? painter.png() : null,
      kind: isDefect ? kind || otherKind.value.trim() : "", group: group.value.trim(), why: why.value.trim(), force: false, ...more,
    };
  }

  function showPreview({ isNew = false } = {}) {
    const isRefused = preview.refusals?.length > 0;
    const force = h("input", { type: "checkbox", onchange: () => { accepting.disabled = !force.checked; } });
    const accepting = h("button", { type: "button", class: "button button-main button-wide", disabled: isRefused, onclick: accept },
      h("span", {}, t(`lesson.accept.${label}`)), h("kbd", {}, t("key.Enter")));
    place.force = force;
    replace(place,
      h("h2", { class: "panel-title", tabindex: -1 }, t(`lesson.title.${label}`)),
      label === "defect" && kind && h("p", { class: "kind-line" }, t("lesson.kind", { kind }),
        h("button", { type: "button", class: "button button-small", onclick: () => { kind = ""; askKind(); } }, t("lesson.changeKind"))),
      isStale && h("div", { class: "stale" }, icon("warning"), h("span", {}, isStale),
        h("button", { type: "button", class: "button button-small", onclick: () => choose(label) }, t("lesson.again"), h("kbd", {}, label === "good" ? "G" : "D"))),
      preview.taught?.[0] && preview.taught[0].before !== inspection.verdict && h("p", { class: "quiet small" }, t("lesson.judgedAnew")),
      h("div", { class: isStale ? "is-stale" : "" }, previewOf(preview)),
      h("div", { class: "panel-actions" },
        isRefused && !isStale && h("label", { class: "check" }, force, h("span", {}, t("lesson.force"))),
        !isStale && accepting,
        h("div", { class: "buttons" }, noteButton(), backButton())));
    const title = place.querySelector("h2");
    title.focus({ preventScroll: true });
    if (isNew && matchMedia("(max-width: 999px)").matches) title.scrollIntoView({ block: "center" }); // it stands below the picture
  }

  function showFailure(error) {
    say(error.message, true);
    replace(place, fields, h("div", { class: "panel-actions" },
      h("button", { type: "button", class: "button button-wide", onclick: () => choose(label) }, t("lesson.again"), h("kbd", {}, label === "good" ? "G" : "D")),
      h("div", { class: "buttons" }, noteButton(), backButton())));
  }

  const noteButton = () => h("button", { type: "button", class: "button button-small", title: t("lesson.noteHint"), onclick: noteOnly }, t("lesson.note"), h("kbd", {}, "N"));
  const backButton = () => h("button", { type: "button", class: "button button-small", onclick: back }, t("lesson.back"), h("kbd", {}, t("key.Escape")));

  async function accept() {
    if (busy || !preview) return;
    if (isStale) return choose(label);
    const isForced = preview.refusals?.length > 0;
    if (isForced && !place.force?.checked) return say(t("lesson.tickFirst"), true);
    busy = true;
    place.querySelectorAll("button").forEach((button) => { button.disabled = true; });
    say(t("lesson.teaching"));
    try {
      const before = (await api.versions(inspection.model)).in_place;
      const answer = await api.teach(inspection.model, lesson({ dry_run: false, force: isForced }));
      if (!answer.accepted) {
        busy = false;
        preview = answer;
        say("");
        return showPreview();
      }
      const what = { id: inspection.id, name: inspection.name || t("part.unnamed"), model: inspection.model, label, version: answer.version, before };
      busy = false;
      onDone(what);
    } catch (error) {
      busy = false;
      showFailure(error);
    }
  }

  /** Write the decision down without teaching the model. */
  function noteOnly() {
    if (label && !busy) decide(label);
  }

  async function decide(name) {
    busy = true;
    try {
      await api.decide(inspection.id, name, why.value.trim());
      busy = false;
      onDone({ id: inspection.id, name: inspection.name || t("part.unnamed"), model: inspection.model, label: name });
    } catch (error) {
      busy = false;
      say(error.message, true);
    }
  }

  function back() {
    if (!busy || !preview) reset(); // what is being taught cannot be left any more
  }

  function stale(text) {
    if (isStale) return;
    isStale = text;
    if (preview) showPreview();
  }

  function leaveOnEscape(event) {
    if (event.key === "Escape") event.target.blur();
  }

  return {
    element, open, choose, accept, noteOnly, back, say: (text) => say(text),
    isBusy: () => busy,
    modelChanged: () => { if (!busy) stale(t("lesson.modelChanged")); },
    close: () => { attempt += 1; unbindKinds(); },
  };
}
