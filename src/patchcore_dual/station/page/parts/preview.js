// What a teaching changes, before it is accepted.

import { picture } from "../api.js";
import { h } from "../dom.js";
import { count, percent, score, share, withoutIds } from "../format.js";
import { hasText, t } from "../texts.js";
import { classOf, icon, sign } from "./icons.js";
import { mark } from "./verdict.js";

const LISTED = 8; // changed verdicts that are shown before the list is folded
const NAMES = {
  "share inspected": ["preview.share", percent],
  "defects outside": ["preview.outside", count],
  threshold: ["preview.threshold", score],
  "false alarms expected": ["preview.falseAlarms", percent],
  "false alarms promised": ["preview.promised", percent],
  "recall on known defects": ["preview.recall", share],
  "recall on left-out kinds": ["preview.recallLeftOut", share],
};

/**
 * A preview as the station gives it, as elements.
 * @param {object} preview
 * @param {(change: object) => string} name of an image that is taught or taken out
 */
export function previewOf(preview, name = () => t("preview.thisPart")) {
  const refusals = preview.refusals ?? [];
  return h("div", { class: "preview" },
    refusals.length > 0 && h("div", { class: "refused", role: "alert" }, icon("warning"),
      h("div", {}, h("p", { class: "strong" }, t("preview.refused")), refusals.map((text) => h("p", {}, text)))),
    (preview.taught ?? []).length > 0 &&
      h("ul", { class: "changes", "aria-label": t("preview.taught") }, preview.taught.map((change) => taught(change, name(change)))),
    effects(preview.effects ?? {}),
    changes(t("preview.calibration"), preview.calibration ?? []),
    preview.n_inspected !== null && preview.n_inspected !== undefined &&
      changes(t("preview.inspected", { n: preview.n_inspected }), preview.inspected ?? [], true),
    (preview.notes ?? []).map((text) => h("p", { class: "remark" }, withoutIds(text))),
    h("p", { class: "quiet small" }, t("preview.gained", { normal: signed(preview.gained_normal), defect: signed(preview.gained_defect) })),
    (preview.approximations ?? []).length > 0 &&
      h("details", { class: "small" }, h("summary", {}, t("preview.approximations")), preview.approximations.map((text) => h("p", {}, text))));
}

/** A pair of verdicts, with words and signs. */
export function fromTo(before, after) {
  return h("span", { class: "from-to" }, mark(before), h("span", { "aria-hidden": "true" }, "→"),
    h("span", { class: "visually-hidden" }, t("preview.becomes")), mark(after));
}

function taught(change, name) {
  return h("li", { class: "change-main" },
    sign(change.after, `change-sign change-${classOf(change.after)}`),
    h("div", {},
      h("p", { class: "strong image-name" }, name),
      fromTo(change.before, change.after),
      h("p", { class: "quiet small" }, t("preview.scores", { before: score(change.score_before), after: score(change.score_after) }))));
}

function effects(values) {
  const rows = Object.entries(values).filter(([, pair]) => pair?.some((value) => value !== null));
  return h("table", { class: "table table-pairs" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("preview.figure")), h("th", { scope: "col", class: "number" }, t("preview.now")), h("th", { scope: "col", class: "number" }, t("preview.then")))),
    h("tbody", {}, rows.map(([name, [before, after]]) => {
      const [key, show] = NAMES[name] ?? [null, score];
      const isSame = show(before) === show(after);
      return h("tr", { class: isSame ? "quiet" : "" },
        h("th", { scope: "row" }, key && hasText(key) ? t(key) : name),
        h("td", { class: "number" }, show(before)),
        h("td", { class: isSame ? "number" : "number strong" }, show(after)));
    })));
}

/**
 * The verdicts that change in a set of images; a sentence where none does.
 * @param {string} what the set, in words
 * @param {object[]} list
 * @param {boolean} areInspections whether the images are named by ids of inspections
 */
export function changes(what, list, areInspections = false) {
  if (!list.length) return h("p", { class: "unchanged" }, icon("reviewed"), h("span", {}, t("preview.none", { what })));
  const items = list.map((change) => h("li", {},
    h("span", { class: "change-name", title: change.image }, areInspections ? inspectionLink(change.image) : baseName(change.image),
      change.is_defect === null || change.is_defect === undefined ? null : h("span", { class: "quiet" }, ` (${t(change.is_defect ? "label.defect" : "label.good")})`)),
    fromTo(change.before, change.after)));
  return h("section", {},
    h("h3", { class: "changes-title" }, t("preview.some", { what, n: list.length })),
    h("ul", { class: "changes-list" }, items.slice(0, LISTED)),
    items.length > LISTED && h("details", {}, h("summary", {}, t("preview.more", { n: items.length - LISTED })), h("ul", { class: "changes-list" }, items.slice(LISTED))));
}

function inspectionLink(id) {
  return h("a", { class: "change-part", href: `#/inspections/${id}` }, h("img", { src: picture(id, "image", 80), alt: "" }), t("preview.part", { id: id.slice(-6) }));
}

/** The last part of a path; of an image that was taught here, without the id before its name. */
export function baseName(path) {
  return String(path).split(/[\\/]/).pop().replace(/^[0-7][0-9A-Z]{25}-(?=.)/, "");
}

function signed(value) {
  return value > 0 ? `+${value}` : String(value ?? 0).replace("-", "−");
}
