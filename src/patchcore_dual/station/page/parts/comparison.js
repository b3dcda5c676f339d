// Two versions of a model side by side: figures, images in the banks, and verdicts that differ.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, score, share } from "../format.js";
import { t } from "../texts.js";
import { noteError } from "./dialogs.js";
import { baseName, changes } from "./preview.js";

/**
 * A card in which two versions are chosen and compared; `between(a, b)` chooses them.
 * @param {string} model
 * @param {object} versions as of `GET …/versions`
 */
export function comparison(model, versions) {
  const numbers = versions.versions.filter((one) => ["fit", "teach", "remove", "threshold", "migrate"].includes(one.action) && !one.pruned).map((one) => one.number).sort((a, b) => a - b);
  const choice = (chosen) => h("select", {}, numbers.map((n) => h("option", { value: n, selected: n === chosen }, t("version.short", { version: n }))));
  const before = numbers.filter((n) => n < versions.in_place).at(-1) ?? numbers[0];
  const [first, second] = [choice(before), choice(versions.in_place)];
  const place = h("div", { class: "comparison", role: "status" });
  const run = async () => {
    replace(place, h("div", { class: "working" }, h("span", { class: "spinner" }), h("p", {}, t("compare.working"))));
    try {
      replace(place, result(await api.compare(model, first.value, second.value), first.value, second.value));
    } catch (error) {
      replace(place);
      noteError(error);
    }
  };
  const element = h("section", { class: "card", id: "compare" }, h("h2", {}, t("compare.title")),
    numbers.length < 2 ? h("p", { class: "quiet" }, t("compare.onlyOne")) : h("form", { class: "field-row", onsubmit: (event) => { event.preventDefault(); run(); } },
      h("label", { class: "field" }, h("span", {}, t("compare.first")), first),
      h("label", { class: "field" }, h("span", {}, t("compare.second")), second),
      h("button", { type: "submit", class: "button" }, t("compare.run"))),
    place);
  return {
    element,
    between(a, b) {
      [first.value, second.value] = [a, b];
      element.scrollIntoView({ block: "start" });
      second.focus({ preventScroll: true });
      run();
    },
  };
}

function result({ differences: found, calibration, logged }, a, b) {
  const differ = (pair) => pair && pair[0] !== pair[1];
  const rows = [
    ...Object.entries(found.thresholds ?? {}).map(([name, pair]) => [t(`compare.threshold.${name}`), pair, score]),
    [t("preview.falseAlarms"), found.held_out?.false_alarm_rate_expected, percent],
    [t("preview.recall"), found.held_out?.recall_known, share],
    [t("preview.recallLeftOut"), found.held_out?.recall_left_out, share],
    ...["normal", "defect"].map((name) => [t(`compare.bank.${name}`), found.banks?.[name]?.vectors, count]),
    ...Object.entries(found.settings ?? {}).map(([name, pair]) => [name.replaceAll("_", " "), pair, (value) => (typeof value === "number" ? score(value) : String(value ?? "–"))]),
  ].filter(([, pair]) => pair?.some((value) => value !== null));
  const images = ["normal", "defect"].flatMap((bank) => ["added", "removed"].flatMap((how) => (found.banks?.[bank]?.[how] ?? []).map((name) => h("li", {}, t(`compare.${how}.${bank}`, { name: baseName(name) })))));
  return [
    h("table", { class: "table table-pairs" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("preview.figure")), h("th", { scope: "col", class: "number" }, t("version.short", { version: a })), h("th", { scope: "col", class: "number" }, t("version.short", { version: b })))),
      h("tbody", {}, rows.map(([label, pair, show]) => h("tr", { class: differ(pair) ? "" : "quiet" }, h("th", { scope: "row" }, label), h("td", { class: "number" }, show(pair[0])), h("td", { class: differ(pair) ? "number strong" : "number" }, show(pair[1])))))),
    images.length > 0 && h("ul", { class: "plain small" }, images),
    changes(t("compare.calibration", { n: calibration.n }), calibration.changes),
    changes(t("preview.inspected", { n: logged.n }), logged.changes, true),
  ];
}
