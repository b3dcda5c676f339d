// The scores of held-out training images, good ones and defects, with thresholds and one part.

import { h, svg } from "../dom.js";
import { score } from "../format.js";
import { t } from "../texts.js";
import { classOf } from "./icons.js";

const WIDTH = 440;
const ROW = 64; // of dots, for each class
const LEFT = 8;
const TOP = 34; // for the labels of the thresholds
const ROOM = 118; // that such a label takes

/**
 * A plot of two rows of dots: good images above, defects below, each dot one image.
 * @param {{normal: number[], defect: number[]}} heldOut scores
 * @param {{threshold: number, review: number, part?: number, verdict?: string}} marks
 */
export function plot(heldOut, { threshold, review, part, verdict }) {
  const { normal = [], defect = [] } = heldOut ?? {};
  const values = [...normal, ...defect, threshold, review, part].filter(Number.isFinite);
  const scale = scaleOf(values);
  const rows = [["normal", normal, TOP], ["defect", defect, TOP + ROW]];
  const height = TOP + 2 * ROW + 34;
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, class: "plot", role: "img", "aria-label": describe(normal, defect, { threshold, review, part }) },
    zones(scale, threshold, review),
    rows.map(([name, scores, top]) => dots(name, scores, top, scale)),
    rows.map(([name, scores, top]) => svg("text", { x: LEFT, y: top + 13, class: "plot-label" }, t(`plot.${name}`, { n: scores.length }))),
    axis(scale, TOP + 2 * ROW),
    review < threshold && line("review", review, scale, 26),
    line("reject", threshold, scale, 13),
    Number.isFinite(part) && partMark(part, verdict, scale),
  );
  return h("figure", { class: "plot-figure" }, picture);
}

/** A scale that gives the thick of the good images room, whatever the highest score: by square root. */
function scaleOf(values) {
  const low = Math.min(0, ...values);
  const high = Math.max(...values, low + 1e-9);
  const root = (value) => Math.sqrt(Math.max(0, value - low) / (high - low));
  const of = (value) => LEFT + 6 + (WIDTH - 2 * LEFT - 12) * root(value);
  return { of, low, high };
}

function zones(scale, threshold, review) {
  const ends = [[LEFT, scale.of(Math.min(review, threshold)), "pass"], [scale.of(review), scale.of(threshold), "review"], [scale.of(threshold), WIDTH - LEFT, "reject"]];
  return ends
    .filter(([from, to]) => to > from)
    .map(([from, to, name]) => svg("rect", { x: from, y: TOP, width: to - from, height: 2 * ROW, class: `plot-zone plot-zone-${name}` }));
}

function dots(name, scores, top, scale) {
  const radius = scores.length > 400 ? 1.8 : 3;
  const stacks = new Map();
  return [...scores].sort((a, b) => a - b).map((value) => {
    const column = Math.round(scale.of(value) / (2 * radius));
    const level = stacks.get(column) ?? 0;
    stacks.set(column, level + 1);
    const y = top + ROW - radius - 2 - (level % Math.floor((ROW - 18) / (2 * radius))) * 2 * radius;
    const x = scale.of(value);
    return name === "normal"
      ? svg("circle", { cx: x, cy: y, r: radius - 0.4, class: "plot-normal" })
      : svg("path", { d: `M${x} ${y - radius}L${x + radius} ${y}L${x} ${y + radius}L${x - radius} ${y}z`, class: "plot-defect" });
  });
}

function axis(scale, y) {
  const ticks = [0, 1, 2, 3, 4].map((i) => scale.low + (scale.high - scale.low) * (i / 4) ** 2);
  return svg("g", {},
    svg("line", { x1: LEFT, x2: WIDTH - LEFT, y1: y, y2: y, class: "plot-axis" }),
    ticks.map((value, i) => svg("text", { x: scale.of(value), y: y + 15, class: "plot-tick", "text-anchor": ["start", "middle", "middle", "middle", "end"][i] }, score(value))));
}

function line(name, value, scale, y) {
  const x = scale.of(value);
  const isRight = name === "review" ? x > ROOM : x > WIDTH - ROOM; // the label stands left of its line
  return svg("g", { class: `plot-line plot-line-${name}` },
    svg("line", { x1: x, x2: x, y1: y - 9, y2: TOP + 2 * ROW }),
    svg("text", { x: x + (isRight ? -5 : 5), y, "text-anchor": isRight ? "end" : "start" }, t(`plot.${name}`, { value: score(value) })));
}

function partMark(value, verdict, scale) {
  const x = scale.of(value);
  const bottom = TOP + 2 * ROW;
  const anchor = x > WIDTH * 0.8 ? "end" : x < WIDTH * 0.2 ? "start" : "middle";
  return svg("g", { class: `plot-part plot-part-${classOf(verdict ?? "")}` },
    svg("line", { x1: x, x2: x, y1: TOP, y2: bottom + 4 }),
    svg("path", { d: `M${x} ${bottom - 2}l7 13h-14z` }),
    svg("text", { x: Math.min(WIDTH - LEFT, Math.max(LEFT, x)), y: bottom + 30, "text-anchor": anchor }, t("plot.part", { value: score(value) })));
}

function describe(normal, defect, { threshold, review, part }) {
  const above = (scores, value) => scores.filter((one) => one > value).length;
  return t(Number.isFinite(part) ? "plot.describePart" : "plot.describe", {
    part: score(part), threshold: score(threshold), review: score(review),
    rejected: above(normal, threshold), normal: normal.length,
    found: above(defect, threshold), defect: defect.length,
  });
}
