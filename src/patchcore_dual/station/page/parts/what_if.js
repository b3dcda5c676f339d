// Scores of the good images and the defects, and what another threshold would do with this part.

import { h, replace } from "../dom.js";
import { percent, score, share } from "../format.js";
import { t } from "../texts.js";
import { plot } from "./plot.js";
import { mark } from "./verdict.js";

/**
 * A card with the plot and a slider over the operating points of the model.
 * @param {object} model as of `GET /v1/models/{name}`
 * @param {object | null} inspection whose score is marked
 */
export function whatIf(model, inspection = null) {
  const points = [...(model.operating_points ?? [])].sort((a, b) => a.threshold.value - b.threshold.value);
  const own = inspection?.threshold ?? model.thresholds.image.value;
  const review = inspection?.review_threshold ?? model.thresholds.review.value;
  const card = h("section", { class: "card what-if" }, h("h2", {}, t("whatIf.title")));
  const place = h("div", {});
  card.append(place);
  const draw = (threshold) => replace(place, plot({ normal: model.held_out?.good, defect: model.held_out?.defects }, {
    threshold, review: Math.min(review, threshold), part: inspection?.score, verdict: inspection ? verdictAt(threshold) : null,
  }));
  const verdictAt = (threshold) => {
    if (inspection.verdict === "not inspected") return inspection.verdict; // whatever its score
    if (inspection.is_foreign || inspection.score > threshold) return "reject";
    return inspection.score > Math.min(review, threshold) ? "review" : "pass";
  };
  draw(own);
  if (!points.length) {
    card.append(h("p", { class: "quiet" }, t("whatIf.nothing")));
    return card;
  }
  const nearest = points.reduce((best, point, i) => (Math.abs(point.threshold.value - own) < Math.abs(points[best].threshold.value - own) ? i : best), 0);
  const says = h("div", { class: "what-if-says", role: "status" });
  const slider = h("input", { type: "range", min: 0, max: points.length - 1, step: 1, value: nearest, "aria-label": t("whatIf.slider"), oninput: () => show() });
  const show = () => {
    const point = points[Number(slider.value)];
    const isOwn = Math.abs(point.threshold.value - own) < 1e-9;
    slider.setAttribute("aria-valuetext", score(point.threshold.value));
    draw(point.threshold.value);
    replace(says,
      h("p", {}, h("strong", {}, t(isOwn ? "whatIf.own" : "whatIf.instead", { threshold: score(point.threshold.value) })),
        inspection ? [" ", t("whatIf.thisPart"), " ", mark(verdictAt(point.threshold.value))] : null),
      h("p", {}, t("whatIf.does", {
        expected: percent(point.threshold.expected), promised: percent(point.threshold.promised),
        n: Math.round(point.rejected_of_1000), known: share(point.recall_known),
      })));
  };
  card.append(h("label", { class: "field what-if-slider" }, h("span", {}, t("whatIf.slider")),
    h("span", { class: "slider-ends quiet small" }, h("span", {}, t("whatIf.stricter")), h("span", {}, t("whatIf.looser"))), slider), says);
  show();
  return card;
}
