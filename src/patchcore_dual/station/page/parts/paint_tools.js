// The tools of the mask: brush, eraser, moving the image, size, undo, clear.

import { h } from "../dom.js";
import { t } from "../texts.js";
import { icon } from "./icons.js";
import { toolButton } from "./viewer.js";

const ICONS = { move: "hand" }; // of tools whose icon has another name
const GROW = 1.35;

/**
 * The bar of tools of a painter, and its keys.
 * @param {Painter} painter
 * @param {{label?: string, hasBox?: boolean}} options what is painted, and whether also by rectangles
 */
export function paintTools(painter, { label = t("paint.tools"), hasBox = false } = {}) {
  const names = ["brush", ...(hasBox ? ["box"] : []), "eraser", "move"];
  const choices = new Map(names.map((name) => [name, h(
    "button",
    { type: "button", class: "tool tool-text", "aria-label": t(`paint.${name}`), "aria-pressed": "false", onclick: () => painter.choose(name) },
    icon(ICONS[name] ?? name), h("span", {}, t(`paint.${name}`)),
  )]));
  const size = h("input", { type: "range", min: 0, max: 100, "aria-label": t("paint.size"), oninput: () => {
    painter.size = Math.max(1, Math.round(most() ** (size.value / 100)));
    painter.hover(painter.at);
    show();
  } });
  const sizeText = h("output", { class: "brush-size" });
  const undo = toolButton("undo", t("paint.undo"), () => painter.undo());
  const clear = toolButton("clear", t("paint.clear"), () => painter.clear());
  const most = () => Math.max(4, Math.min(painter.canvas.width, painter.canvas.height) / 2);
  const show = () => {
    for (const [name, button] of choices) button.setAttribute("aria-pressed", String(painter.tool === name));
    size.value = (100 * Math.log(painter.size)) / Math.log(most());
    size.setAttribute("aria-valuetext", t("paint.pixels", { n: painter.size }));
    sizeText.textContent = t("paint.pixels", { n: painter.size });
    undo.disabled = !painter.canUndo;
    clear.disabled = painter.isEmpty;
  };
  const listeners = [show];
  painter.onchange = () => listeners.forEach((listener) => listener());
  painter.listen = (listener) => listeners.push(listener);
  show();
  return {
    element: h("div", { class: "paint-tools", role: "toolbar", "aria-label": label },
      [...choices.values()],
      undo, clear,
      h("label", { class: "tool-label brush-slider" }, h("span", {}, t("paint.size")), size, sizeText)),
    keys: [
      { keys: ["b"], text: t("paint.brush"), run: () => painter.choose("brush") },
      ...(hasBox ? [{ keys: ["r"], text: t("paint.box"), run: () => painter.choose("box") }] : []),
      { keys: ["e"], text: t("paint.eraser"), run: () => painter.choose("eraser") },
      { keys: ["m"], text: t("paint.move"), run: () => painter.choose("move") },
      { keys: ["["], text: t("paint.smaller"), run: () => painter.resize(1 / GROW) },
      { keys: ["]"], text: t("paint.larger"), run: () => painter.resize(GROW) },
      { keys: ["z", "Ctrl+z"], text: t("paint.undo"), run: () => painter.undo() },
      { keys: ["c"], text: t("paint.clear"), run: () => painter.clear() },
    ],
  };
}
