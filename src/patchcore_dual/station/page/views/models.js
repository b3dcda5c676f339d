// Models: thresholds and what others would do; versions and their ledger; compare, approve, roll back.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { percent } from "../format.js";
import { bind } from "../keyboard.js";
import { mayTeach, oneModel, onModel } from "../session.js";
import { t } from "../texts.js";
import { ask, note, noteError } from "../parts/dialogs.js";
import { comparison } from "../parts/comparison.js";
import { ledger } from "../parts/ledger.js";
import { thresholds } from "../parts/thresholds.js";
import { whatIf } from "../parts/what_if.js";

const APPROVED = "approved";

export function modelsView() {
  const head = h("div", { class: "models-head" });
  const left = h("div", { class: "models-left" });
  const right = h("div", { class: "models-right" });
  const element = h("div", { class: "view models" }, head, left, right);
  let versions = null;
  let compare = null; // kept while the model is the same, with what it shows
  let compared = "";

  async function load() {
    const name = oneModel();
    if (!name) return replace(head, h("h1", {}, t("nav.models")), h("p", { class: "quiet" }, t("frame.noModel")));
    try {
      const [model, known] = await Promise.all([api.model(name), api.versions(name)]);
      versions = known;
      replace(head, heading(model, known, inspectLess));
      replace(left, whatIf(model), thresholds(model, load));
      if (compared !== name) [compare, compared] = [comparison(name), name];
      compare.update(known);
      replace(right, ledger(known, { onApprove: approve, onRollBack: rollBack, onCompare: (number) => compare.between(number, known.in_place) }), compare.element);
    } catch (error) {
      noteError(error);
    }
  }

  async function approve(number) {
    const why = await ask({ title: t("approve.title", { version: number }), text: t("approve.text", { version: number }), yes: t("approve.yes"), asksWhy: true });
    if (why === null) return;
    await change(() => api.tag(oneModel(), APPROVED, number, why), t("approve.done", { version: number }));
  }

  async function rollBack(number) {
    const why = await ask({ title: t("rollBack.title", { version: number }), text: t("rollBack.text", { version: number, now: versions.in_place }), yes: t("rollBack.yes", { version: number }), asksWhy: true, isGrave: true });
    if (why === null) return;
    const former = versions.in_place;
    await change(() => api.undo(oneModel(), number, why), t("rollBack.done", { version: number, former }));
  }

  async function change(run, text) {
    try {
      await run();
      note(text);
      await load();
    } catch (error) {
      noteError(error);
    }
  }

  /** Paint on the picture of the part that was inspected last. */
  async function inspectLess() {
    try {
      const { items: [last] } = await api.inspections({ model: oneModel(), limit: 1 });
      if (last) location.hash = `#/region/${last.id}`;
      else note(t("narrowing.noPart"), { isError: true });
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("edit", ({ model }) => (!model || model === oneModel()) && load()),
    onModel(load),
    bind(t("nav.models"), []),
  ];
  load();
  return { element, refresh: load, close: () => stops.forEach((stop) => stop()) };
}

function heading(model, versions, inspectLess) {
  const approved = versions.tags?.[APPROVED];
  const state = approved === undefined ? t("models.notApproved") : approved === versions.in_place ? t("models.approved") : t("models.otherApproved", { version: approved });
  return [
    h("h1", {}, model.name),
    h("span", { class: "mark mark-plain" }, t("version.inPlace", { version: versions.in_place })),
    h("span", { class: "mark mark-plain" }, state),
    h("span", { class: "quiet" }, t("models.facts", { fingerprint: model.fingerprint, size: model.size ? model.size.join(" × ") : t("models.ownSize") })),
    h("span", { class: "quiet" }, t("models.share", { share: percent(model.inspected_share) })),
    mayTeach() && h("button", { type: "button", class: "button button-small", onclick: inspectLess }, t("nav.region")),
    model.can_be_taught === false && h("p", { class: "remark" }, t("lesson.cannot", { why: model.why_not ?? "" })),
    !mayTeach() && h("p", { class: "remark" }, t("models.readOnly")),
  ];
}
