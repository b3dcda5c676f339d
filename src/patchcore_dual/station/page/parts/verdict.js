// The verdict: as a small mark in lists, and as the big one that is read from two metres.

import { h } from "../dom.js";
import { score, time } from "../format.js";
import { t } from "../texts.js";
import { classOf, sign } from "./icons.js";

/** A mark with sign and word, for lists. */
export function mark(verdict) {
  return h("span", { class: `mark mark-${classOf(verdict)}` }, sign(verdict), h("span", {}, t(`verdict.${verdict}`)));
}

/** What somebody has decided, if anybody has. */
export function decisionMark(decision) {
  if (!decision) return null;
  const text = t(`decision.${decision.label}`);
  const version = decision.taught_version ? ` · ${t("decision.taught", { version: decision.taught_version })}` : "";
  return h("span", { class: "mark mark-plain" }, text + version);
}

/** The whole band: sign, word, the part's name, and why in one line. */
export function band(inspection) {
  const { verdict } = inspection;
  return h(
    "div",
    { class: `band band-${classOf(verdict)}` },
    sign(verdict, "band-sign"),
    h("div", { class: "band-text" },
      h("p", { class: "band-word" }, t(`verdict.${verdict}`)),
      h("p", { class: "band-why" }, reason(inspection))),
  );
}

/** Why the verdict is what it is, in one line. */
export function reason(inspection) {
  if (inspection.is_foreign && inspection.verdict !== "not inspected") return t("reason.foreign");
  const values = {
    score: score(inspection.score),
    threshold: score(inspection.threshold),
    review: score(inspection.review_threshold),
    note: sentence(inspection.note),
  };
  return t(`reason.${inspection.verdict}`, values);
}

/** A note as the beginning of a sentence. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Name and time of a part. */
export function title(inspection) {
  return h(
    "p",
    { class: "part-title" },
    h("strong", { class: "part-name" }, inspection.name || t("part.unnamed")),
    h("span", { class: "quiet" }, ` ${time(inspection.at)} · ${inspection.model}${inspection.version ? ` ${t("version.short", { version: inspection.version })}` : ""}`),
  );
}
