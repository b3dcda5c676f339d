// Inspecting less: first what leaving out the painted part would change, then whether to do it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { percent } from "../format.js";
import { t } from "../texts.js";
import { note } from "./dialogs.js";
import { icon } from "./icons.js";
import { previewOf } from "./preview.js";
import { putBack } from "./put_back.js";

/**
 * The panel beside the picture.
 * @param {{painter: object, onDone: () => void}} options what to do once the model inspects less
 */
export function narrowingPanel({ painter, onDone }) {
  let inspection = null;
  let share = 1; // of each image that is inspected
  let preview = null;
  let isStale = false;
  let isBusy = false;
  let isAccepting = false;
  let attempt = 0; // of a preview; an older answer is dropped

  const place = h("div", { class: "panel-place" });
  const why = h("input", { type: "text", maxlength: 500, autocomplete: "off", onkeydown: (event) => event.key === "Escape" && event.target.blur() });
  const reason = h("label", { class: "field" }, h("span", {}, t("field.why")), why);
  const force = h("input", { type: "checkbox", onchange: () => { accepting.disabled = !force.checked; } });
  const accepting = button("narrowing.accept", t("key.Enter"), accept, "button button-main button-wide");
  const trying = button("narrowing.try", t("key.Enter"), tryIt, "button button-main button-wide");
  const back = button("lesson.back", t("key.Escape"), start);
  const element = h("div", { class: "panel" }, place);
  painter.listen(() => {
    trying.disabled = painter.isEmpty;
    outdated(t("narrowing.changed"));
  });

  function open(next, model) {
    inspection = next;
    share = model.inspected_share;
    start();
    if (model.can_be_taught === false) place.prepend(h("p", { class: "remark" }, t("lesson.cannot", { why: model.why_not ?? "" })));
  }

  /** What can be done, before anything is painted. */
  function start() {
    if (isAccepting || !inspection) return;
    attempt += 1;
    [preview, isStale, isBusy] = [null, false, false];
    trying.disabled = painter.isEmpty;
    replace(place,
      h("p", {}, t("narrowing.lead")),
      h("p", { class: "strong" }, t("narrowing.share", { share: percent(share) })),
      h("div", { class: "panel-actions" }, trying),
      h("p", { class: "quiet small" }, t("narrowing.hint")));
  }

  const body = (more) => ({ inspection: inspection.id, ignore: painter.png(), why: why.value.trim(), ...more });

  async function tryIt() {
    if (isBusy || painter.isEmpty) return;
    if (!painter.png()) return failed(t("narrowing.nothing")); // all of it was erased again
    const mine = ++attempt;
    [preview, isStale, isBusy] = [null, false, true];
    replace(place, h("div", { class: "working", role: "status" }, h("span", { class: "spinner" }), h("p", {}, t("narrowing.trying"))));
    try {
      const answer = await api.narrow(inspection.model, body({ dry_run: true }));
      if (mine === attempt) show(answer);
    } catch (error) {
      if (mine === attempt) failed(error.message);
    }
  }

  function show(answer) {
    [preview, isBusy] = [answer, false];
    const isRefused = answer.refusals?.length > 0;
    force.checked = false;
    accepting.disabled = isRefused;
    replace(place,
      h("h2", { class: "panel-title", tabindex: -1 }, t("narrowing.title")),
      isStale && h("div", { class: "stale" }, icon("warning"), h("span", {}, isStale), button("lesson.again", null, tryIt)),
      h("div", { class: isStale ? "is-stale" : "" }, previewOf(answer)),
      h("div", { class: "panel-actions" },
        isRefused && !isStale && h("label", { class: "check" }, force, h("span", {}, t("narrowing.force"))),
        !isStale && reason,
        !isStale && accepting,
        h("div", { class: "buttons" }, back)));
    const title = place.querySelector("h2");
    title.focus({ preventScroll: true });
    if (!isStale && matchMedia("(max-width: 999px)").matches) title.scrollIntoView({ block: "center" }); // it stands below the picture
  }

  function failed(message) {
    [preview, isBusy] = [null, false];
    replace(place,
      h("div", { class: "refused", role: "alert" }, icon("warning"), h("p", {}, message)),
      h("div", { class: "buttons" }, back, button("lesson.again", null, tryIt)));
  }

  /** What is shown, or will be, no longer holds. */
  function outdated(text) {
    if (isStale || !(preview || isBusy)) return;
    isStale = text;
    if (!isBusy) show(preview);
  }

  async function accept() {
    if (!preview || isBusy || isStale || accepting.disabled) return;
    [isBusy, isAccepting] = [true, true];
    accepting.disabled = true;
    const { model } = inspection;
    const asked = body({ dry_run: false, force: force.checked }); // as it was shown
    try {
      const before = (await api.versions(model)).in_place;
      const answer = await api.narrow(model, asked);
      [isBusy, isAccepting] = [false, false];
      if (!answer.accepted) return show(answer);
      const { version } = answer;
      const undo = { before, version, why: t("narrowing.undoWhy"), done: t("narrowing.undone", { version }) };
      note(t("narrowing.done", { share: percent(answer.effects["share inspected"][1]), version }),
        { action: { text: t("review.undoShort"), run: () => putBack(model, undo) } });
      onDone();
    } catch (error) {
      [isBusy, isAccepting] = [false, false];
      failed(error.message);
    }
  }

  return {
    element, open, back: start,
    enter: () => (preview && !isStale ? accept() : tryIt()),
    modelChanged: () => outdated(t("lesson.modelChanged")),
    isAccepting: () => isAccepting,
    close: () => { attempt += 1; },
  };
}

function button(text, key, onclick, className = "button button-small") {
  return h("button", { type: "button", class: className, onclick }, h("span", {}, t(text)), key && h("kbd", {}, key));
}
