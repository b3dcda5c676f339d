// One inspection: why the verdict is what it is, and what another threshold would change.

import { api, picture } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { dateTime, score } from "../format.js";
import { bind } from "../keyboard.js";
import { mayTeach } from "../session.js";
import { t } from "../texts.js";
import { note, noteError } from "../parts/dialogs.js";
import { icon } from "../parts/icons.js";
import { baseName } from "../parts/preview.js";
import { band, decisionMark, title } from "../parts/verdict.js";
import { Viewer } from "../parts/viewer.js";
import { whatIf } from "../parts/what_if.js";

export function inspectionView(id) {
  const viewer = new Viewer();
  const bandPlace = h("div", { class: "band-place" });
  const titlePlace = h("div", { class: "inspection-title" });
  const side = h("div", { class: "inspection-side" });
  const review = h("a", { class: "button button-main", href: `#/review/${encodeURIComponent(id)}` }, icon("review"), t("inspection.review"));
  const element = h("div", { class: "view inspection" },
    h("div", { class: "inspection-head" },
      h("a", { class: "button button-small", href: "#/inspections" }, icon("back"), t("inspection.back")),
      h("h1", { class: "visually-hidden" }, t("inspection.title")),
      titlePlace,
      mayTeach() && review),
    h("div", { class: "inspection-picture" }, viewer.element),
    h("div", { class: "inspection-why" }, bandPlace, side));

  async function load() {
    try {
      const inspection = await api.inspection(id);
      replace(bandPlace, band(inspection));
      replace(titlePlace, title(inspection));
      viewer.show(inspection);
      replace(side, decision(inspection), regions(inspection, viewer), nearest(inspection), facts(inspection));
      const model = await api.model(inspection.model);
      side.querySelector(".regions-card").after(whatIf(model, inspection));
    } catch (error) {
      noteError(error);
    }
  }

  function decision(inspection) {
    if (inspection.review === null && mayTeach()) {
      return h("div", { class: "buttons" }, h("button", { type: "button", class: "button button-small", onclick: queueUp }, t("inspection.queue")));
    }
    if (inspection.review === "open") return h("p", { class: "quiet" }, t("inspection.queued"));
    if (!inspection.decision) return null;
    const { by, at, why } = inspection.decision;
    return h("section", { class: "card decided" }, decisionMark(inspection.decision),
      h("span", { class: "quiet" }, t("decision.by", { by: by || t("decision.somebody"), at: dateTime(at) }), why ? ` “${why}”` : ""),
      mayTeach() && !inspection.decision.taught_version && h("button", { type: "button", class: "button button-small", onclick: takeBack }, t("decision.takeBack")));
  }

  async function queueUp() {
    try {
      await api.askForReview(id);
      note(t("inspection.queuedNow"));
      await load();
    } catch (error) {
      noteError(error);
    }
  }

  async function takeBack() {
    try {
      await api.takeBack(id);
      note(t("decision.takenBack"));
      await load();
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("decision", (inspection) => inspection.id === id && load()),
    bind(t("inspection.title"), [
      { keys: ["h"], text: t("viewer.toggleHeat"), run: () => viewer.toggleHeat() },
      { keys: ["r"], text: t("inspection.review"), run: () => { if (mayTeach()) location.hash = review.getAttribute("href"); } },
      { keys: ["i"], text: t("nav.region"), run: () => { location.hash = `#/region/${encodeURIComponent(id)}`; } },
      { keys: ["Escape"], text: t("inspection.back"), run: () => { location.hash = "#/inspections"; } },
    ]),
  ];
  load();
  return { element, refresh: load, close: () => stops.forEach((stop) => stop()) };
}

function regions(inspection, viewer) {
  const items = inspection.regions.map((region, index) => h("li", {},
    h("button", { type: "button", class: "region-link", onclick: () => viewer.goTo(region) },
      h("span", { class: "region-badge" }, String(index + 1)),
      h("span", {}, t("region.where", region)),
      h("span", { class: "quiet" }, t("region.peak", { peak: score(region.peak) })))));
  return h("section", { class: "card regions-card" }, h("h2", {}, t("inspection.regions")),
    items.length ? h("ol", { class: "regions-list" }, items) : h("p", { class: "quiet" }, t("inspection.noRegions")),
    mayTeach() && h("p", { class: "small" }, t("narrowing.question"), " ", h("a", { href: `#/region/${encodeURIComponent(inspection.id)}` }, t("nav.region"))));
}

function nearest(inspection) {
  const one = (what, match) => {
    if (!match) return h("figure", { class: "patch" }, h("div", { class: "patch-none" }), h("figcaption", {}, h("strong", {}, t(`nearest.${what}`)), h("span", { class: "quiet" }, t("nearest.noDefects"))));
    const image = h("img", {
      src: picture(inspection.id, `nearest-${what}`), alt: t(`nearest.${what}.alt`, { image: baseName(match.image) }),
      onerror: (event) => event.target.replaceWith(h("div", { class: "patch-none" }, t("nearest.notAtHand"))),
    });
    return h("figure", { class: "patch" }, image, h("figcaption", {}, h("strong", {}, t(`nearest.${what}`)),
      h("span", { class: "quiet", title: match.image }, baseName(match.image)), h("span", { class: "quiet" }, t("nearest.distance", { distance: score(match.distance) }))));
  };
  return h("section", { class: "card" }, h("h2", {}, t("inspection.nearest")),
    h("div", { class: "patches" }, one("normal", inspection.nearest_normal), one("defect", inspection.nearest_defect)));
}

function facts(inspection) {
  const milliseconds = Object.values(inspection.milliseconds ?? {}).reduce((sum, value) => sum + value, 0);
  const rows = [
    ["score", `${score(inspection.score)} ± ${score(inspection.uncertainty)}`],
    ["time", dateTime(inspection.at)],
    ["size", `${inspection.width} × ${inspection.height}`],
    ["source", inspection.source],
    ["model", `${inspection.model} · ${inspection.fingerprint}`],
    ["duration", t("fact.milliseconds", { n: Math.round(milliseconds) })],
    ["id", inspection.id],
    ["note", inspection.note],
  ].filter(([, value]) => value);
  return h("section", { class: "card" }, h("h2", {}, t("inspection.facts")),
    h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, t(`fact.${name}`)), h("dd", {}, value)))));
}
