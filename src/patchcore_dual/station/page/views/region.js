// Where a model inspects: on the picture of a part, what is to count no more is painted over.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { bind } from "../keyboard.js";
import { mayTeach } from "../session.js";
import { t } from "../texts.js";
import { noteError } from "../parts/dialogs.js";
import { coloured } from "../parts/heat.js";
import { icon } from "../parts/icons.js";
import { narrowingPanel } from "../parts/narrowing.js";
import { Painter } from "../parts/painter.js";
import { paintTools } from "../parts/paint_tools.js";
import { title } from "../parts/verdict.js";
import { Viewer } from "../parts/viewer.js";

const PALE = Array.from({ length: 256 }, (_, inspected) => [255, 255, 255, inspected > 127 ? 0 : 255]);

export function regionView(id) {
  const viewer = new Viewer();
  const painter = new Painter(viewer);
  const outside = h("canvas", { class: "viewer-outside", "aria-hidden": "true" });
  painter.layer.prepend(outside);
  const address = `#/inspections/${encodeURIComponent(id)}`;
  const titlePlace = h("div", {});
  const tools = paintTools(painter, { label: t("narrowing.tools"), hasBox: true });
  const panel = narrowingPanel({ painter, onDone: load });
  const side = h("section", { class: "review-side", "aria-label": t("narrowing.decide") },
    h("div", {}, h("h1", { class: "narrowing-heading", tabindex: -1 }, t("nav.region")), !mayTeach() && h("p", { class: "remark" }, t("models.readOnly"))),
    mayTeach() && panel.element);
  tools.element.hidden = !mayTeach();
  const element = h("div", { class: "view review narrowing" },
    h("div", { class: "review-work" },
      h("div", { class: "review-head" }, h("a", { class: "button button-small", href: address }, icon("back"), t("narrowing.back")), titlePlace),
      viewer.element, tools.element),
    side);
  let inspection = null;

  /** Show the model as it is now; nothing is painted any more. */
  async function load() {
    try {
      inspection = await api.inspection(id);
      const [model, inspected] = await Promise.all([api.model(inspection.model), api.region(inspection.model, id)]);
      replace(titlePlace, title(inspection));
      viewer.show(inspection);
      painter.isOn = mayTeach();
      painter.reset(inspection.width, inspection.height);
      coloured(outside, inspected, PALE);
      panel.open(inspection, model);
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("edit", ({ model }) => {
      if (inspection?.model !== model || panel.isAccepting()) return;
      if (painter.isEmpty) load();
      else panel.modelChanged();
    }),
    bind(t("nav.region"), [
      ...(mayTeach() ? [
        { keys: ["Enter"], text: t("narrowing.key.enter"), run: () => panel.enter() },
        { keys: ["Escape"], text: t("narrowing.key.back"), run: () => panel.back() },
      ] : []),
      { keys: ["h"], text: t("viewer.toggleHeat"), run: () => viewer.toggleHeat() },
    ]),
    bind(t("narrowing.painting"), mayTeach() ? tools.keys : []),
  ];
  load();
  return { element, refresh: () => painter.isEmpty && load(), close: () => { stops.forEach((stop) => stop()); panel.close(); } };
}
