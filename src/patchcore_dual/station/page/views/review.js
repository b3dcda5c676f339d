// Review: the queue. One key for good, one for defect; what teaching changes is shown first.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { bind } from "../keyboard.js";
import { chosenModel, mayTeach, onModel } from "../session.js";
import { t } from "../texts.js";
import { note, noteError } from "../parts/dialogs.js";
import { icon } from "../parts/icons.js";
import { lessonPanel } from "../parts/lesson.js";
import { Painter } from "../parts/painter.js";
import { paintTools } from "../parts/paint_tools.js";
import { empty, row } from "../parts/rows.js";
import { band, title } from "../parts/verdict.js";
import { Viewer } from "../parts/viewer.js";
import { step as stepList } from "./inspections.js";

const LIMIT = 100;
const done = []; // what was decided or taught here, the latest last, for undo

export function reviewView(id) {
  const viewer = new Viewer();
  const painter = new Painter(viewer);
  let queue = [];
  let current = null;
  let hasMore = false;

  const list = h("div", { class: "rows queue-list", tabindex: 0, role: "group", "aria-label": t("review.queue") });
  const heading = h("h1", { tabindex: -1 }, t("nav.review"));
  const bandPlace = h("div", {});
  const titlePlace = h("div", {});
  const tools = paintTools(painter);
  const undoButton = h("button", { type: "button", class: "button button-small", title: t("review.undo"), onclick: undo }, icon("undo"), t("review.undoShort"), h("kbd", {}, "U"));
  const panel = lessonPanel({ painter, onDone: finish });
  const work = h("div", { class: "review-work" },
    h("div", { class: "review-head" }, titlePlace, h("span", { class: "spring" }), undoButton),
    viewer.element, tools.element);
  const element = h("div", { class: "view review" },
    h("section", { class: "card review-queue", "aria-label": t("review.queue") }, heading, list),
    work,
    h("section", { class: "review-side", "aria-label": t("review.decide") }, bandPlace, panel.element));

  async function load() {
    try {
      const page = await api.inspections({ review: "open", model: chosenModel(), limit: LIMIT });
      queue = page.items;
      hasMore = Boolean(page.next);
      const wanted = id ?? current?.id ?? queue[0]?.id;
      let one = queue.find((item) => item.id === wanted);
      if (!one && wanted) one = await api.inspection(wanted);
      await open(one ?? null);
    } catch (error) {
      noteError(error);
    }
  }

  async function open(inspection) {
    const isOther = inspection?.id !== current?.id;
    current = inspection;
    showQueue();
    work.hidden = !inspection;
    panel.element.hidden = !inspection || !mayTeach();
    tools.element.hidden = !mayTeach();
    if (!inspection) {
      replace(bandPlace, empty(t("review.empty"), t("review.emptyHint")));
      return;
    }
    replace(bandPlace, band(inspection), mayTeach() ? null : h("p", { class: "remark" }, t("review.readOnly")));
    replace(titlePlace, title(inspection));
    if (!isOther) return;
    viewer.show(inspection);
    painter.isOn = mayTeach();
    painter.reset(inspection.width, inspection.height);
    panel.open(inspection);
  }

  function showQueue() {
    heading.textContent = t("review.count", { n: hasMore ? `${queue.length}+` : queue.length });
    const isExtra = current && !queue.some((one) => one.id === current.id);
    const shown = isExtra ? [current, ...queue] : queue;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    replace(list, shown.length ? shown.map((one) => row(one, { href: `#/review/${one.id}`, isCurrent: one.id === current?.id })) : empty(t("review.none")));
    if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    scrollTo(list, list.querySelector("[aria-current]"));
    undoButton.hidden = !done.length || !mayTeach();
  }

  /** The next part of the queue after this one. */
  function next() {
    const index = queue.findIndex((one) => one.id === current?.id);
    const following = queue[index + 1] ?? queue.find((one) => one.id !== current?.id);
    if (following && following.id !== current?.id) go(following.id);
    else note(t("review.noOther"));
  }

  function go(to) {
    const address = to ? `#/review/${to}` : "#/review";
    if (location.hash === address) load();
    else location.hash = address;
  }

  /** After a decision or a teaching: say so, offer undo, go on. */
  function finish(what) {
    done.push(what);
    const index = queue.findIndex((one) => one.id === what.id);
    const following = queue[index + 1] ?? queue.find((one) => one.id !== what.id);
    const text = what.version
      ? t(`review.taught.${what.label}`, { name: what.name, version: what.version })
      : t(`review.decided.${what.label}`, { name: what.name });
    note(text, { action: { text: t("review.undoShort"), run: undo } });
    go(following && following.id !== what.id ? following.id : null);
  }

  async function undo() {
    const last = done.at(-1);
    if (!last) return;
    try {
      if (last.version) await undoTeaching(last);
      const { decision } = await api.inspection(last.id);
      if (decision) await api.takeBack(last.id);
      done.pop();
      note(t(last.version ? "review.undoneTeaching" : "review.undone", { name: last.name, version: last.version }));
      go(last.id);
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("inspection", (inspection) => {
      const isFor = inspection.verdict !== "pass" && (!chosenModel() || inspection.model === chosenModel());
      if (!isFor || queue.some((one) => one.id === inspection.id)) return;
      queue = [inspection, ...queue].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, LIMIT);
      if (current) showQueue();
      else load();
    }),
    on("decision", (inspection) => {
      if (panel.isBusy()) return;
      const isGone = queue.some((one) => one.id === inspection.id) && inspection.review !== "open";
      if (isGone) queue = queue.filter((one) => one.id !== inspection.id);
      if (current?.id === inspection.id) {
        current = { ...current, ...inspection };
        if (inspection.decision) panel.say(t("review.byOther", { by: inspection.decision.by || t("decision.somebody"), label: t(`decision.${inspection.decision.label}`) }));
      }
      if (isGone) showQueue();
      else if (!inspection.decision) load();
    }),
    on("edit", ({ model }) => current?.model === model && panel.modelChanged()),
    onModel(() => { current = null; id = undefined; load(); }),
    bind(t("nav.review"), mayTeach() ? [
      { keys: ["g"], text: t("review.key.good"), run: () => panel.choose("good") },
      { keys: ["d"], text: t("review.key.defect"), run: () => panel.choose("defect") },
      { keys: ["s"], text: t("review.key.skip"), run: () => panel.choose("skip") },
      { keys: ["Enter"], text: t("review.key.accept"), run: () => panel.accept() },
      { keys: ["n"], text: t("review.key.note"), run: () => panel.noteOnly() },
      { keys: ["Escape"], text: t("review.key.back"), run: () => panel.back() },
      { keys: ["u"], text: t("review.key.undo"), run: undo },
    ] : []),
    bind(t("review.painting"), mayTeach() ? tools.keys : []),
    bind(t("review.looking"), [
      { keys: ["h"], text: t("viewer.toggleHeat"), run: () => viewer.toggleHeat() },
      { keys: ["j"], text: t("list.next"), run: next },
      { keys: ["ArrowDown"], text: t("list.focusNext"), run: () => stepList(list, 1) },
      { keys: ["ArrowUp"], text: t("list.focusPrevious"), run: () => stepList(list, -1) },
    ]),
  ];
  load();
  return { element, refresh: load, close: () => { stops.forEach((stop) => stop()); panel.close(); } };
}

/** Bring a row into view in its list, and leave the page where it is. */
function scrollTo(list, current) {
  if (!current) return;
  const [frame, box] = [list.getBoundingClientRect(), current.getBoundingClientRect()];
  if (box.top < frame.top || box.bottom > frame.bottom) list.scrollTop += box.top - frame.top;
}

/** Undo a teaching, unless the model was changed since: then only the ledger can say what is meant. */
async function undoTeaching({ model, version, before }) {
  const { in_place: inPlace } = await api.versions(model);
  if (inPlace !== version) throw Object.assign(new Error(t("review.changedSince", { version })), { status: 409 });
  await api.undo(model, before, t("review.undoWhy"));
}
