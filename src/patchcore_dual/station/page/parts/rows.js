// Lists of inspections: a row with picture, verdict, name, time and score.

import { picture } from "../api.js";
import { h } from "../dom.js";
import { score, time } from "../format.js";
import { t } from "../texts.js";
import { decisionMark, mark } from "./verdict.js";

const THUMBNAIL = 160; // pixels wide, for screens of twice the density

/**
 * A row as a link.
 * @param {object} inspection
 * @param {{href: string, isCurrent?: boolean, onclick?: (event: MouseEvent) => void}} options
 */
export function row(inspection, { href, isCurrent = false, onclick = null }) {
  return h(
    "a",
    { class: "row", href, "data-id": inspection.id, "aria-current": isCurrent ? "true" : null, onclick },
    thumbnail(inspection),
    h("span", { class: "row-text" },
      h("span", { class: "row-first" }, mark(inspection.verdict), decisionMark(inspection.decision)),
      h("span", { class: "row-name" }, inspection.name || t("part.unnamed")),
      h("span", { class: "row-last quiet" }, `${t("part.score", { score: score(inspection.score) })} · ${time(inspection.at)}`)),
  );
}

/** A small picture of the part; nothing where its image was removed. */
export function thumbnail(inspection) {
  return h("span", { class: "thumbnail" },
    h("img", { src: picture(inspection.id, "image", THUMBNAIL), alt: "", loading: "lazy", decoding: "async", onerror: (event) => event.target.remove() }));
}

/** What is said where a list has nothing. */
export function empty(title, text) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text && h("p", { class: "quiet" }, text));
}
