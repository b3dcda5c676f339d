// Live: the current part, the newest verdicts as they come, the counts of the shift, and drift.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { count, gigabytes, percent } from "../format.js";
import { bind } from "../keyboard.js";
import { chosenModel, onModel } from "../session.js";
import { read, write } from "../storage.js";
import { hasText, t } from "../texts.js";
import { note, noteError } from "../parts/dialogs.js";
import { VERDICTS, classOf, icon, sign } from "../parts/icons.js";
import { empty, row } from "../parts/rows.js";
import { band, title } from "../parts/verdict.js";
import { Viewer } from "../parts/viewer.js";

const SHOWN = 30; // newest verdicts in the list
const PACE = 250; // ms between two parts on the screen: faster, nobody could read it
const SHIFTS = [6, 14, 22]; // hours at which shifts begin
const LITTLE_SPACE = 2e9; // bytes on the disk below which somebody should know
const PERIODS = ["shift", "hour", "day"];

export function liveView() {
  const viewer = new Viewer();
  let items = [];
  let held = null; // id of the part that is kept on the screen; null follows the newest
  let pending = false;

  const bandPlace = h("div", { class: "live-band" });
  const titlePlace = h("div", { class: "live-title" });
  const follow = h("button", { type: "button", class: "button button-small", hidden: true, onclick: () => hold(null) }, icon("live"), t("live.follow"));
  const list = h("div", { class: "rows live-list", tabindex: 0, role: "group", "aria-label": t("live.newest") });
  const counts = h("div", { class: "counts" });
  const drift = h("div", { class: "drift" });
  const troubles = h("div", { class: "troubles", role: "status" });
  const period = h("select", { class: "period", "aria-label": t("live.period"), onchange: () => { write("period", period.value); countAgain(); } },
    PERIODS.map((name) => h("option", { value: name, selected: read("period", "shift") === name }, t(`live.period.${name}`))));

  const current = h("section", { class: "live-current", "aria-label": t("live.current") },
    bandPlace,
    h("div", { class: "live-head" }, titlePlace, follow,
      h("a", { class: "button button-small live-why" }, t("live.why"))),
    viewer.element);
  const why = current.querySelector(".live-why");
  const element = h("div", { class: "view live" },
    h("h1", { class: "visually-hidden" }, t("nav.live")),
    current,
    h("aside", { class: "live-side", "aria-label": t("live.side") },
      troubles,
      h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, t("live.counts")), period), counts),
      h("section", { class: "card card-drift" }, h("h2", {}, t("live.drift")), drift),
      h("section", { class: "card card-grow" }, h("h2", {}, t("live.newest")), list)));

  function part() {
    return items.find((one) => one.id === held) ?? items[0];
  }

  function hold(id) {
    held = id;
    show();
  }

  function show() {
    const inspection = part();
    element.classList.toggle("is-empty", !inspection);
    follow.hidden = !held;
    if (!inspection) {
      replace(bandPlace, empty(t("live.none"), t("live.noneHint")));
      replace(titlePlace);
      replace(list);
      return;
    }
    replace(bandPlace, band(inspection));
    replace(titlePlace, title(inspection));
    why.href = `#/inspections/${inspection.id}`;
    viewer.show(inspection);
    replace(list, items.map((one) => row(one, {
      href: `#/inspections/${one.id}`, isCurrent: one.id === inspection.id,
      onclick: (event) => { event.preventDefault(); hold(one.id === items[0].id ? null : one.id); },
    })));
  }

  function showSoon() {
    if (pending) return;
    pending = true;
    setTimeout(() => { pending = false; keepFocus(list, show); }, PACE);
  }

  async function load() {
    try {
      items = (await api.inspections({ model: chosenModel(), limit: SHOWN })).items;
      show();
      await Promise.all([countAgain(), state()]);
    } catch (error) {
      noteError(error);
    }
  }

  async function countAgain() {
    try {
      const body = await api.counts(since(period.value).toISOString(), chosenModel());
      showCounts(counts, body.counts ?? body);
    } catch (error) {
      noteError(error);
    }
  }

  async function state() {
    showState(await api.state());
  }

  function showState(body) {
    const models = body.models.filter((model) => !chosenModel() || model.name === chosenModel());
    replace(drift, models.flatMap((model) => driftOf(model, models.length > 1)));
    replace(troubles,
      body.database.is_available ? null : h("p", { class: "remark" }, t("live.spooling")),
      body.disk.free < LITTLE_SPACE ? h("p", { class: "remark" }, t("live.disk", { free: gigabytes(body.disk.free) })) : null,
      models.filter((model) => model.problem).map((model) => h("p", { class: "remark" }, t("live.problem", { model: model.name, problem: model.problem }))));
  }

  let countTimer = 0;
  const countSoon = () => { if (!countTimer) countTimer = setTimeout(() => { countTimer = 0; countAgain(); }, 1000); };
  const stops = [
    on("inspection", (inspection) => {
      if (chosenModel() && inspection.model !== chosenModel()) return;
      items = [inspection, ...items.filter((one) => one.id !== inspection.id)].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, SHOWN);
      if (held && !items.some((one) => one.id === held)) {
        held = null;
        note(t("live.followsAgain"));
      }
      showSoon();
      countSoon();
    }),
    on("decision", (inspection) => {
      items = items.map((one) => (one.id === inspection.id ? { ...one, ...inspection } : one));
      showSoon();
    }),
    on("state", (body) => showState(body)),
    onModel(() => { held = null; load(); }),
    bind(t("nav.live"), [
      { keys: ["h"], text: t("viewer.toggleHeat"), run: () => viewer.toggleHeat() },
      { keys: ["ArrowDown", "j"], text: t("live.older"), run: () => step(1) },
      { keys: ["ArrowUp", "k"], text: t("live.newer"), run: () => step(-1) },
      { keys: ["f"], text: t("live.follow"), run: () => hold(null) },
      { keys: ["Enter"], text: t("live.why"), run: () => { if (part()) location.hash = why.getAttribute("href"); } },
    ]),
  ];

  function step(by) {
    const index = items.indexOf(part()) + by;
    if (index <= 0) hold(null);
    else if (index < items.length) hold(items[index].id);
  }

  load();
  return { element, refresh: load, close: () => { stops.forEach((stop) => stop()); clearTimeout(countTimer); } };
}

/** The drift of a model: its name where there are several, its state, and of a drift what to do and why. */
function driftOf(model, isNamed) {
  const status = model.drift?.status ?? "not measured";
  const key = `drift.${status}`;
  return [
    h("p", {}, isNamed && h("span", { class: "quiet" }, `${model.name}: `),
      h("span", { class: `state state-${status.replaceAll(" ", "-")}` }, hasText(key) ? t(key) : status),
      status === "drifting" && [" ", h("a", { href: `v1/models/${encodeURIComponent(model.name)}/drift.png`, target: "_blank", rel: "noopener" }, t("drift.picture"))]),
    model.drift?.advice && h("p", { class: "small" }, model.drift.advice),
    model.drift?.message && h("p", { class: "quiet small" }, model.drift.message),
  ];
}

/** When the period began that is counted. */
function since(period) {
  const now = new Date();
  const begin = new Date(now);
  if (period === "hour") return new Date(now - 3_600_000);
  begin.setHours(0, 0, 0, 0);
  if (period === "day") return begin;
  const hour = SHIFTS.findLast((one) => one <= now.getHours());
  begin.setHours(hour ?? SHIFTS.at(-1) - 24);
  return begin;
}

function showCounts(place, counts) {
  const shown = VERDICTS.filter((verdict) => verdict !== "not inspected" || counts[verdict]);
  const total = shown.reduce((sum, verdict) => sum + (counts[verdict] ?? 0), 0);
  replace(place, shown.map((verdict) => {
    const n = counts[verdict] ?? 0;
    return h("div", { class: `count count-${classOf(verdict)}` },
      h("span", { class: "count-label" }, sign(verdict), t(`verdict.${verdict}`)),
      h("span", { class: "count-number" }, count(n)),
      h("span", { class: "quiet small" }, total ? percent(n / total) : t("live.noParts")));
  }));
}

/** Redraw a list without losing the row that has the focus. */
function keepFocus(list, draw) {
  const id = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  draw();
  if (id) list.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus();
}
