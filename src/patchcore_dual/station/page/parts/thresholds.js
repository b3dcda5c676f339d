// The operating points of a model, and setting its threshold by one of three ways.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { percent, score, share } from "../format.js";
import { mayTeach } from "../session.js";
import { t } from "../texts.js";
import { ask, note, noteError } from "./dialogs.js";

const WAYS = ["false_alarm_rate", "recall", "costs"];

/**
 * A card with the table of operating points and the form.
 * @param {object} model as of `GET /v1/models/{name}`
 * @param {() => void} onChanged called once a threshold is set
 */
export function thresholds(model, onChanged) {
  const own = model.thresholds.image;
  const points = [...(model.operating_points ?? [])].sort((a, b) => b.threshold.value - a.threshold.value);
  const set = async (how) => {
    try {
      const shown = await api.setThreshold(model.name, { ...how, dry_run: true });
      const { threshold } = shown;
      const text = t("threshold.becomes", {
        before: score(shown.threshold_before), after: score(threshold.value),
        expected: percent(threshold.expected), promised: percent(threshold.promised), recall: share(shown.recall_known),
      });
      const why = await ask({ title: t("threshold.title"), text, yes: t("threshold.yes"), asksWhy: true });
      if (why === null) return;
      await api.setThreshold(model.name, { ...how, why, dry_run: false });
      note(t("threshold.done", { value: score(threshold.value) }));
      onChanged();
    } catch (error) {
      noteError(error);
    }
  };
  return h("section", { class: "card" }, h("h2", {}, t("points.title")),
    h("p", { class: "quiet small" }, t("points.hint")),
    points.length ? h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("points.title") }, table(points, own, set)) : h("p", { class: "quiet" }, t("whatIf.nothing")),
    h("p", { class: "small" }, t("points.review", { value: score(model.thresholds.review.value) })),
    mayTeach() && form(set));
}

function table(points, own, set) {
  const head = ["asked", "value", "expected", "promised", "known", "leftOut"];
  const hasLeftOut = points.some((point) => point.recall_left_out !== null);
  const columns = head.filter((name) => name !== "leftOut" || hasLeftOut);
  return h("table", { class: "table points" },
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col", class: `number col-${name}` }, t(`points.${name}`))), h("th", {}, h("span", { class: "visually-hidden" }, t("points.use"))))),
    h("tbody", {}, points.map((point) => {
      const { threshold } = point;
      const isOwn = Math.abs(threshold.value - own.value) < 1e-12;
      const cells = { asked: percent(threshold.asked), value: score(threshold.value), expected: percent(threshold.expected), promised: percent(threshold.promised), known: share(point.recall_known), leftOut: share(point.recall_left_out) };
      return h("tr", { class: isOwn ? "is-own" : "", "aria-current": isOwn ? "true" : null },
        columns.map((name) => h("td", { class: `number col-${name}` }, cells[name])),
        h("td", {}, isOwn ? h("span", { class: "mark mark-strong" }, t("points.own"))
          : mayTeach() && h("button", { type: "button", class: "button button-small", "aria-label": t("points.useLabel", { value: score(threshold.value) }), onclick: () => set({ false_alarm_rate: threshold.asked }) }, t("points.use"))));
    })));
}

function form(set) {
  const number = (name, attributes) => h("label", { class: "field" }, h("span", {}, t(`threshold.${name}`)),
    h("input", { type: "number", name, required: true, step: "any", min: 0, inputmode: "decimal", ...attributes }));
  const fields = {
    false_alarm_rate: () => [number("false_alarm_rate", { max: 100, value: "1" })],
    recall: () => [number("recall", { max: 100, value: "90" })],
    costs: () => [number("miss", { value: "100" }), number("false_alarm", { value: "1" }), number("defect_share", { max: 100, value: "1" })],
  };
  const place = h("div", { class: "field-row" }, fields.false_alarm_rate());
  const way = h("select", { name: "way", onchange: () => replace(place, fields[way.value]()) }, WAYS.map((name) => h("option", { value: name }, t(`threshold.way.${name}`))));
  return h("details", {}, h("summary", {}, t("threshold.another")),
    h("form", { class: "threshold-form", onsubmit: (event) => { event.preventDefault(); set(entered(event.target)); } },
      h("label", { class: "field" }, h("span", {}, t("threshold.way")), way), place,
      h("button", { type: "submit", class: "button" }, t("threshold.try"))));
}

function entered(form) {
  const value = (name) => Number(new FormData(form).get(name));
  const way = form.elements.way.value;
  if (way === "costs") return { costs: { miss: value("miss"), false_alarm: value("false_alarm"), defect_share: value("defect_share") / 100 } };
  return { [way]: value(way) / 100 };
}
