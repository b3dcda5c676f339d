// The versions of a model and their ledger: who changed what, when and why, and what it did.

import { h } from "../dom.js";
import { dateTime, percent, score, share } from "../format.js";
import { mayTeach } from "../session.js";
import { hasText, t } from "../texts.js";
import { baseName } from "./preview.js";

const SHOWN = 12; // latest lines before the list is folded
/** Actions that make a model of its own; the others go back to one, or name it. */
export const CHANGERS = ["fit", "teach", "remove", "region", "threshold", "migrate"];

/**
 * The ledger as a card.
 * @param {object} versions as of `GET …/versions`
 * @param {{onApprove: Function, onRollBack: Function, onCompare: Function}} actions each with a number
 */
export function ledger(versions, actions) {
  const tags = new Map();
  for (const [tag, number] of Object.entries(versions.tags ?? {})) tags.set(number, [...(tags.get(number) ?? []), tag]);
  const lines = [...versions.versions].sort((a, b) => b.number - a.number).map((version) => line(version, versions.in_place, tags, actions));
  return h("section", { class: "card ledger-card" }, h("h2", {}, t("ledger.title")),
    h("ol", { class: "ledger" }, lines.slice(0, SHOWN)),
    lines.length > SHOWN && h("details", {}, h("summary", {}, t("ledger.more", { n: lines.length - SHOWN })), h("ol", { class: "ledger" }, lines.slice(SHOWN))));
}

function line(version, inPlace, tags, { onApprove, onRollBack, onCompare }) {
  const isModel = CHANGERS.includes(version.action);
  const isInPlace = version.number === inPlace;
  const number = version.number;
  return h("li", { class: isInPlace ? "version is-in-place" : "version" },
    h("div", { class: "version-head" },
      h("span", { class: "version-number" }, String(number)),
      h("strong", {}, action(version)),
      isInPlace && h("span", { class: "mark mark-strong" }, t("ledger.inPlace")),
      (tags.get(number) ?? []).map((tag) => h("span", { class: "mark mark-plain" }, hasText(`tag.${tag}`) ? t(`tag.${tag}`) : tag)),
      version.pruned && h("span", { class: "mark mark-plain" }, t("ledger.pruned"))),
    h("p", { class: "quiet small" }, t("ledger.by", { by: version.by, at: dateTime(version.at) })),
    version.why && h("p", { class: "version-why" }, `“${version.why}”`),
    effects(version),
    isModel && !version.pruned && h("div", { class: "buttons" },
      !isInPlace && h("button", { type: "button", class: "button button-small", onclick: () => onCompare(number), "aria-label": t("ledger.compareLabel", { version: number }) }, t("ledger.compare")),
      mayTeach() && !(tags.get(number) ?? []).includes("approved") && h("button", { type: "button", class: "button button-small", onclick: () => onApprove(number), "aria-label": t("ledger.approveLabel", { version: number }) }, t("ledger.approve")),
      mayTeach() && !isInPlace && h("button", { type: "button", class: "button button-small", onclick: () => onRollBack(number), "aria-label": t("ledger.rollBackLabel", { version: number }) }, t("ledger.rollBack"))));
}

function action(version) {
  const { action: name, effects: did, images } = version;
  if (name === "undo") return t("ledger.undo", { version: did.to });
  if (name === "tag") return did.version ? t("ledger.tag", { tag: did.tag, version: did.version }) : t("ledger.untag", { tag: did.tag });
  const image = images?.[0];
  if (image && (name === "teach" || name === "remove")) {
    const key = images.length > 1 ? `ledger.${name}.many` : `ledger.${name}.${image.label}`;
    return t(key, { name: baseName(image.name), n: images.length, kind: image.kind ? ` (${image.kind})` : "" });
  }
  return hasText(`ledger.${name}`) ? t(`ledger.${name}`) : name;
}

const SHOW = [["share", /recall/], ["percent", /false alarms|share inspected/]];

function effects({ action: name, effects: did }) {
  if (["undo", "tag", "prune", "fit"].includes(name)) return null;
  const pairs = Object.entries(did ?? {}).filter(([, value]) => Array.isArray(value) && value.some((one) => one !== null) && value[0] !== value[1]);
  if (!pairs.length) return null;
  return h("dl", { class: "effects" }, pairs.map(([what, [before, after]]) => {
    const how = SHOW.find(([, pattern]) => pattern.test(what))?.[0];
    const show = how === "share" ? share : how === "percent" ? percent : (value) => (typeof value === "number" || value === null ? score(value) : String(value));
    const key = `effect.${what.replaceAll(" ", "_")}`;
    return h("div", {}, h("dt", {}, hasText(key) ? t(key) : what), h("dd", {}, `${show(before)} → ${show(after)}`));
  }));
}
