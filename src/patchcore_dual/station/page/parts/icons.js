// Line icons, 24 × 24, drawn here. Each verdict has a shape of its own, not only a colour.

import { svg } from "../dom.js";

const PATHS = {
  live: "M3 12h4l3-8 4 16 3-8h4",
  inspections: "M4 6h16M4 12h16M4 18h10",
  review: "M9 11l3 3 8-8M20 12v7a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1h9",
  models: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
  training: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  pass: "M5 12.5l5 5L19.5 7",
  reviewed: "M5 12.5l5 5L19.5 7",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5h.01M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19z",
  logout: "M15 4h4a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-4M10 8l-4 4 4 4M6 12h10",
  brush: "M14 4l6 6-9 9H5v-6zM12 6l6 6",
  eraser: "M8 20h12M5 15l9-9 5 5-8 8H8zM10 10l5 5",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  clear: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  hand: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  warning: "M12 3.5L22 20H2zM12 10v4M12 17h.01",
  box: "M4 4h16v16H4z",
  next: "M9 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
};

/** A decorative icon: the text beside it says the same. */
export function icon(name, className = "icon") {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: className, "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name], fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
}

const SHAPES = {
  pass: [["circle", { cx: 12, cy: 12, r: 11 }], "M6.5 12.5l4 4L17.5 8.5"],
  review: [["path", { d: "M12 .8L23.2 12 12 23.2.8 12z" }], "M12 6.5v7M12 17h.01"],
  reject: [["path", { d: "M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4z" }], "M8 8l8 8M16 8l-8 8"],
  "not inspected": [["rect", { x: 1.5, y: 1.5, width: 21, height: 21, rx: 2 }], "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18h.01"],
};

/** The verdicts in the order in which they are shown. */
export const VERDICTS = ["pass", "review", "reject", "not inspected"];

/** A verdict as a part of a class name. */
export const classOf = (verdict) => verdict.replace(" ", "-");

/** The sign of a verdict: a tick in a circle, an exclamation mark in a diamond, a cross in an octagon, a question mark in a square. */
export function sign(verdict, className = "sign") {
  const [[tag, shape], stroke] = SHAPES[verdict];
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: className, "aria-hidden": "true", focusable: "false" },
    svg(tag, { ...shape, class: "sign-shape" }),
    svg("path", { d: stroke, class: "sign-stroke", fill: "none", "stroke-width": 2.6, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
}
