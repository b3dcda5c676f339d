// Inspections: the log, with filters and exports.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { bind } from "../keyboard.js";
import { chosenModel, onModel } from "../session.js";
import { t } from "../texts.js";
import { note, noteError } from "../parts/dialogs.js";
import { VERDICTS, icon } from "../parts/icons.js";
import { empty, row } from "../parts/rows.js";

const LIMIT = 50;
let remembered = {}; // the filters, while the page is open

export function inspectionsView() {
  let next = null;
  let request = null;
  let n = 0;

  const list = h("div", { class: "rows rows-wide" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => load(next) }, t("inspections.more"));
  const fresh = h("button", { type: "button", class: "button button-main fresh", hidden: true, onclick: () => load() });
  const form = filterForm(() => load());
  const exports = h("div", { class: "buttons" });
  const element = h("div", { class: "view inspections" },
    h("h1", {}, t("nav.inspections")),
    h("details", { class: "card filters", open: matchMedia("(min-width: 1000px)").matches }, h("summary", {}, t("inspections.filters")), form, exports),
    h("section", { class: "inspections-list", "aria-label": t("nav.inspections") }, fresh, list, h("div", { class: "buttons" }, more)));

  async function load(cursor = null) {
    request?.abort();
    request = new AbortController();
    const query = { ...filters(form), model: chosenModel() };
    remembered = Object.fromEntries(new FormData(form).entries());
    remembered.verdict = new FormData(form).getAll("verdict");
    try {
      const page = await api.inspections({ ...query, limit: LIMIT, cursor }, { signal: request.signal });
      const rows = page.items.map((one) => row(one, { href: `#/inspections/${one.id}` }));
      if (cursor) list.append(...rows);
      else replace(list, rows.length ? rows : empty(t("inspections.none"), t("inspections.noneHint")));
      next = page.next;
      more.hidden = !next;
      n = 0;
      fresh.hidden = true;
      replace(exports, ["csv", "jsonl"].map((format) => h("a", { class: "button button-small", href: api.exportAddress(format, query), download: "" }, icon("download"), t(`inspections.${format}`))));
      if (cursor) rows[0]?.focus();
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("inspection", () => {
      n += 1;
      fresh.hidden = false;
      fresh.textContent = t("inspections.fresh", { n });
    }),
    onModel(() => load()),
    bind(t("nav.inspections"), [
      { keys: ["/"], text: t("inspections.search"), run: () => { element.querySelector("details").open = true; form.elements.name.focus(); } },
      { keys: ["ArrowDown", "j"], text: t("list.next"), run: () => step(list, 1) },
      { keys: ["ArrowUp", "k"], text: t("list.previous"), run: () => step(list, -1) },
    ]),
  ];
  load();
  return { element, refresh: () => load(), close: () => { stops.forEach((stop) => stop()); request?.abort(); } };
}

/** Move the focus in a list of links. */
export function step(list, by) {
  const links = [...list.querySelectorAll("a")];
  const index = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, index < 0 ? 0 : index + by))]?.focus();
}

function filterForm(onchange) {
  const isOn = (verdict) => !remembered.verdict?.length || remembered.verdict.includes(verdict);
  let timer = 0;
  const later = () => { clearTimeout(timer); timer = setTimeout(onchange, 400); };
  const text = (name, type, attributes = {}) => h("label", { class: "field" }, h("span", {}, t(`filter.${name}`)),
    h("input", { type, name, value: remembered[name] ?? "", autocomplete: "off", ...attributes }));
  const choice = (name, values) => h("label", { class: "field" }, h("span", {}, t(`filter.${name}`)),
    h("select", { name }, ["", ...values].map((value) => h("option", { value, selected: remembered[name] === value }, t(`filter.${name}.${value || "any"}`)))));
  return h("form", { class: "filter-form", oninput: later, onsubmit: (event) => { event.preventDefault(); onchange(); } },
    h("fieldset", { class: "verdict-filter" }, h("legend", {}, t("filter.verdict")),
      VERDICTS.map((verdict) => h("label", { class: "check" },
        h("input", { type: "checkbox", name: "verdict", value: verdict, checked: isOn(verdict) }), h("span", {}, t(`verdict.${verdict}`))))),
    text("name", "search"),
    choice("review", ["open", "done"]),
    choice("has_region", ["true", "false"]),
    text("since", "datetime-local"),
    text("until", "datetime-local"),
    text("min_score", "number", { step: "any", inputmode: "decimal" }),
    text("max_score", "number", { step: "any", inputmode: "decimal" }));
}

function filters(form) {
  const data = new FormData(form);
  const query = {};
  for (const name of ["name", "review", "has_region", "min_score", "max_score"]) query[name] = data.get(name) || null;
  for (const name of ["since", "until"]) {
    const at = new Date(data.get(name));
    query[name] = data.get(name) && !Number.isNaN(at.valueOf()) ? at.toISOString() : null;
  }
  const verdicts = data.getAll("verdict");
  if (verdicts.length === 0) note(t("inspections.noVerdict"));
  query.verdict = verdicts.length === VERDICTS.length ? [] : verdicts;
  return query;
}
