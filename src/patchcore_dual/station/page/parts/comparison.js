// Two versions of a model side by side: figures, images in the banks, and verdicts that differ.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, score, share } from "../format.js";
import { hasText, t } from "../texts.js";
import { noteError } from "./dialogs.js";
import { CHANGERS } from "./ledger.js";
import { baseName, changes } from "./preview.js";

/**
 * A card in which two versions are chosen and compared.
 *
 * `update(versions)` takes the versions as of `GET …/versions`, and keeps what is chosen and shown:
 * the page fetches them anew whenever somebody changes the model. `between(a, b)` compares two.
 * @param {string} model
 */
export function comparison(model) {
  const [first, second] = [h("select", {}), h("select", {})];
  const place = h("div", { class: "comparison", role: "status" });
  const body = h("div", {});
  let attempt = 0; // of a comparison; an older answer is dropped
  const update = (versions) => {
    const numbers = versions.versions.filter((one) => CHANGERS.includes(one.action) && !one.pruned).map((one) => one.number).sort((a, b) => a - b);
    const before = numbers.filter((n) => n < versions.in_place).at(-1) ?? numbers[0];
    for (const [select, usual] of [[first, before], [second, versions.in_place]]) {
      const chosen = numbers.includes(Number(select.value)) && place.hasChildNodes() ? Number(select.value) : usual;
      replace(select, numbers.map((n) => h("option", { value: n, selected: n === chosen }, t("version.short", { version: n }))));
    }
    if (numbers.length < 2) replace(body, h("p", { class: "quiet" }, t("compare.onlyOne")));
    else if (!form.isConnected) replace(body, form);
  };
  const run = async () => {
    const mine = ++attempt;
    replace(place, h("div", { class: "working" }, h("span", { class: "spinner" }), h("p", {}, t("compare.working"))));
    try {
      const [a, b] = [first.value, second.value];
      const found = await api.compare(model, a, b);
      if (mine === attempt) replace(place, result(found, a, b));
    } catch (error) {
      if (mine === attempt) replace(place);
      noteError(error);
    }
  };
  const form = h("form", { class: "field-row", onsubmit: (event) => { event.preventDefault(); run(); } },
    h("label", { class: "field" }, h("span", {}, t("compare.first")), first),
    h("label", { class: "field" }, h("span", {}, t("compare.second")), second),
    h("button", { type: "submit", class: "button" }, t("compare.run")));
  const element = h("section", { class: "card", id: "compare" }, h("h2", {}, t("compare.title")), body, place);
  return {
    element,
    update,
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
    [t("preview.share"), found.images?.inspected_share, percent],
    ...Object.entries(found.thresholds ?? {}).map(([name, pair]) => [t(`compare.threshold.${name}`), pair, score]),
    [t("preview.falseAlarms"), found.held_out?.false_alarm_rate_expected, percent],
    [t("preview.recall"), found.held_out?.recall_known, share],
    [t("preview.recallLeftOut"), found.held_out?.recall_left_out, share],
    ...["normal", "defect"].map((name) => [t(`compare.bank.${name}`), found.banks?.[name]?.vectors, count]),
    ...Object.entries(found.settings ?? {}).map(([name, pair]) => [hasText(`compare.setting.${name}`) ? t(`compare.setting.${name}`) : name, pair, /_rate$/.test(name) ? percent : (value) => (typeof value === "number" ? score(value) : String(value ?? "–"))]),
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
