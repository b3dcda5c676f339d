// Training images: those that decide the threshold or contradict their label, and synthetic defects.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../events.js";
import { score } from "../format.js";
import { bind } from "../keyboard.js";
import { mayTeach, oneModel, onModel } from "../session.js";
import { hasText, t } from "../texts.js";
import { noteError } from "../parts/dialogs.js";
import { baseName } from "../parts/preview.js";
import { takeOut } from "../parts/removal.js";

export function trainingView() {
  const place = h("div", { class: "training-groups" });
  const element = h("div", { class: "view training" }, h("h1", {}, t("nav.training")), h("p", { class: "quiet lead" }, t("training.lead")), place);

  async function load() {
    const name = oneModel();
    if (!name) return replace(place, h("p", { class: "quiet" }, t("frame.noModel")));
    try {
      const found = await api.trainingImages(name);
      const reasons = [...new Set(found.items.map((one) => one.reason))]; // the likely mistakes first
      replace(place,
        reasons.map((reason) => section(name, reason, found.items.filter((one) => one.reason === reason))),
        reasons.length ? null : h("p", { class: "quiet" }, t("training.none")),
        synthetic(name, found.synthetic ?? []));
    } catch (error) {
      noteError(error);
    }
  }

  const stops = [
    on("edit", ({ model }) => model === oneModel() && load()),
    onModel(load),
    bind(t("nav.training"), [
      { keys: ["ArrowRight"], text: t("list.next"), run: () => step(element, 1) },
      { keys: ["ArrowLeft"], text: t("list.previous"), run: () => step(element, -1) },
      ...(mayTeach() ? [
        { keys: ["t"], text: t("removal.key"), run: () => press(".take-out") },
        { keys: ["a"], text: t("synthetic.accept"), run: () => press('[data-mark="accept"]') },
        { keys: ["r"], text: t("synthetic.reject"), run: () => press('[data-mark="reject"]') },
      ] : []),
    ]),
  ];
  load();
  return { element, refresh: load, close: () => stops.forEach((stop) => stop()) };
}

/** Press a button of the card that has the focus. */
function press(button) {
  document.activeElement.closest?.(".image-card")?.querySelector(button)?.click();
}

function step(element, by) {
  const cards = [...element.querySelectorAll(".image-card")];
  const index = cards.indexOf(document.activeElement.closest?.(".image-card"));
  cards[Math.max(0, Math.min(cards.length - 1, index < 0 ? 0 : index + by))]?.focus();
}

function notAtHand() {
  return h("div", { class: "picture-none" }, t("nearest.notAtHand"));
}

function picture(address) {
  return h("img", { src: address, alt: "", loading: "lazy", onerror: (event) => event.target.replaceWith(notAtHand()) });
}

function section(model, reason, images) {
  const key = `training.${reason}`;
  const isKnown = hasText(`${key}.hint`);
  return h("section", { class: "card" },
    h("h2", {}, isKnown ? t(key, { n: images.length }) : reason),
    isKnown && h("p", { class: "quiet" }, t(`${key}.hint`)),
    h("ul", { class: "image-cards" }, images.map((one) => h("li", { class: "image-card", tabindex: 0 },
      one.is_at_hand ? picture(one.link) : notAtHand(),
      h("p", { class: "image-name", title: one.image }, baseName(one.image)),
      h("p", { class: "quiet small" }, t("part.score", { score: score(one.score) })),
      one.without !== null && h("p", { class: "quiet small" }, t("training.without", { threshold: score(one.without) })),
      one.is_in_model && mayTeach() && h("button", { type: "button", class: "button button-small button-wide take-out", title: t("removal.hint"), "aria-label": t("removal.takeOutLabel", { image: one.image }), onclick: () => takeOut(model, one) }, t("removal.takeOut"))))));
}

function synthetic(model, images) {
  return h("section", { class: "card" }, h("h2", {}, t("synthetic.title", { n: images.length })),
    h("p", { class: "quiet" }, t(images.length ? "synthetic.hint" : "synthetic.none")),
    images.length > 0 && h("ul", { class: "image-cards" }, images.map((one) => syntheticCard(model, one))));
}

function syntheticCard(model, image) {
  const state = h("span", { class: "mark mark-plain" });
  const buttons = ["accept", "reject"].map((mark) => h("button", { type: "button", class: "button button-small", "data-mark": mark, "aria-pressed": "false", onclick: () => set(mark === "reject") }, t(`synthetic.${mark}`)));
  const card = h("li", { class: "image-card synthetic-card", tabindex: 0 },
    h("div", { class: "image-picture" }, picture(image.link)),
    h("p", { class: "image-name" }, `${image.run} ${image.image}`),
    h("p", {}, state),
    mayTeach() && h("div", { class: "buttons" }, buttons));
  const show = () => {
    state.textContent = t(image.is_rejected ? "synthetic.state.reject" : "synthetic.state.accept");
    card.dataset.state = image.is_rejected ? "reject" : "accept";
    for (const button of buttons) button.setAttribute("aria-pressed", String((button.dataset.mark === "reject") === image.is_rejected));
  };
  const set = async (isRejected) => {
    try {
      await api.judge(model, image, isRejected);
      image.is_rejected = isRejected;
      show();
    } catch (error) {
      noteError(error);
    }
  };
  show();
  return card;
}
