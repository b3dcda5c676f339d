// What stands around every view: navigation, the model, the connection, theme and help.

import { api } from "./api.js";
import { h, replace } from "./dom.js";
import { connectionState, on } from "./events.js";
import { chooseModel, chosenModel, session } from "./session.js";
import { read, write } from "./storage.js";
import { t } from "./texts.js";
import { notesPlace, showHelp } from "./parts/dialogs.js";
import { icon } from "./parts/icons.js";
import { toolButton } from "./parts/viewer.js";

const THEMES = ["auto", "light", "dark"];
const MOST_COUNTED = 99; // parts that wait for review
const COUNT_PACE = 1000; // ms between two counts of them

/**
 * The frame; `show(name, element)` puts a view into it.
 * @param {{views: string[], onLogOut: () => void}} options
 */
export function frame({ views, onLogOut }) {
  const badge = h("span", { class: "badge", hidden: true });
  const links = new Map(views.map((name) => [name, h(
    "a",
    { class: "nav-link", href: `#/${name}` },
    icon(name), h("span", { class: "nav-text" }, t(`nav.short.${name}`)), name === "review" ? badge : null,
  )]));
  const main = h("main", { id: "main", class: "main", tabindex: -1 });
  const status = h("div", { class: "status", role: "status" });
  const lost = h("div", { class: "lost", role: "alert", hidden: true });
  const element = h("div", { class: "frame" },
    h("a", { class: "skip-link", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, t("frame.skip")),
    h("header", { class: "top" },
      h("span", { class: "brand" }, t("app.title")),
      modelChoice(),
      h("span", { class: "spring" }),
      status,
      themeButton(),
      toolButton("help", t("help.title"), showHelp),
      session.needs_token && toolButton("logout", t("frame.logOut", { by: session.name ?? "" }), onLogOut)),
    h("nav", { class: "nav", "aria-label": t("frame.views") }, [...links.values()]),
    lost, main, notesPlace());

  const showConnection = () => {
    const state = connectionState();
    replace(status, h("span", { class: `dot dot-${state}` }), h("span", { class: "status-text" }, t(`connection.${state}`)));
    lost.hidden = state !== "lost";
    replace(lost, icon("warning"), h("span", {}, t("connection.lostLong")));
  };
  const countReviews = async () => {
    try {
      const { items, next } = await api.inspections({ review: "open", limit: MOST_COUNTED });
      const n = items.length;
      badge.hidden = !n;
      replace(badge, next ? `${n}+` : String(n), h("span", { class: "visually-hidden" }, t("nav.waiting", { n })));
    } catch { /* the connection's state says so */ }
  };
  let timer = 0;
  const soon = () => { // many parts a second are one question
    if (!timer) timer = setTimeout(() => { timer = 0; countReviews(); }, COUNT_PACE);
  };
  on("connection", showConnection);
  for (const kind of ["inspection", "decision", "edit"]) on(kind, soon);
  showConnection();
  countReviews();

  return {
    element,
    focus: () => main.focus({ preventScroll: true }),
    show(name, view) {
      for (const [other, link] of links) {
        if (other === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      replace(main, view);
      main.scrollTop = 0;
    },
  };
}

function modelChoice() {
  if (session.models.length < 2) {
    const only = session.models[0];
    return h("span", { class: "model-only" }, only?.name ?? t("frame.noModel"));
  }
  const options = [h("option", { value: "" }, t("frame.allModels")), ...session.models.map(({ name }) => h("option", { value: name }, name))];
  return h("select", { class: "model-choice", "aria-label": t("frame.model"), value: null, onchange: (event) => chooseModel(event.target.value) },
    options.map((option) => {
      option.selected = option.value === chosenModel();
      return option;
    }));
}

function themeButton() {
  const apply = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  const isDark = () => {
    const theme = read("theme", "auto");
    return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  };
  const button = toolButton(isDark() ? "sun" : "moon", t("frame.theme"), () => {
    write("theme", isDark() ? "light" : "dark");
    apply(read("theme", "auto"));
    replace(button, icon(isDark() ? "sun" : "moon"));
  });
  const remembered = read("theme", "auto");
  apply(THEMES.includes(remembered) ? remembered : "auto");
  return button;
}
