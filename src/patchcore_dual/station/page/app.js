// The page: its frame, its views, and which of them the address names.

import { api, whenUnauthorised } from "./api.js";
import { h, replace } from "./dom.js";
import { connect, connectionState, disconnect, on } from "./events.js";
import { frame } from "./frame.js";
import { bind } from "./keyboard.js";
import { loadModels, session } from "./session.js";
import { loadTexts, t } from "./texts.js";
import { showHelp } from "./parts/dialogs.js";
import { inspectionView } from "./views/inspection.js";
import { inspectionsView } from "./views/inspections.js";
import { liveView } from "./views/live.js";
import { loginView } from "./views/login.js";
import { modelsView } from "./views/models.js";
import { regionView } from "./views/region.js";
import { reviewView } from "./views/review.js";
import { trainingView } from "./views/training.js";

const VIEWS = { live: liveView, inspections: inspectionsView, review: reviewView, models: modelsView, training: trainingView };
const OF_ONE = { inspections: inspectionView, region: regionView }; // with the id of an inspection
const ORDER = Object.keys(VIEWS);
const CONNECTS = 1000; // ms

let shown = null; // the view: {element, close}
let shell = null;

async function start() {
  await loadTexts();
  whenUnauthorised(showLogin);
  addEventListener("hashchange", () => shell && showView());
  bind(t("keys.everywhere"), [
    ...ORDER.map((name, i) => ({ keys: [String(i + 1)], text: t(`nav.${name}`), run: () => go(name) })),
    { keys: ["?"], text: t("help.title"), run: showHelp },
  ]);
  await enter();
}

/** Enter the station: with a token where one is needed. */
async function enter() {
  try {
    Object.assign(session, await api.session());
  } catch (error) {
    return error.status === 401 ? showLogin() : waitForStation(error.message);
  }
  if (!session.role) return showLogin();
  await loadModels();
  shell = frame({ views: ORDER, onLogOut: logOut });
  replace(document.body, shell.element);
  connect();
  await connectedOr(CONNECTS); // so that nothing is missed between what is fetched and what is told
  showView();
}

/** Wait for the connection, but no longer than some milliseconds. */
function connectedOr(longest) {
  return new Promise((resolve) => {
    const stop = on("connection", done);
    const timer = setTimeout(done, longest);
    function done() {
      stop();
      clearTimeout(timer);
      resolve();
    }
    if (connectionState() === "connected") done();
  });
}

function waitForStation(message) {
  replace(document.body, h("main", { class: "alone" }, h("h1", {}, t("app.title")), h("p", { role: "status" }, message)));
  setTimeout(enter, 2000);
}

function showLogin() {
  close();
  disconnect();
  shell = null;
  replace(document.body, loginView(enter));
  document.querySelector("input")?.focus();
}

async function logOut() {
  await api.logOut().catch(() => {});
  showLogin();
}

function close() {
  shown?.close();
  shown = null;
}

function go(name) {
  location.hash = `#/${name}`;
}

/** The view that the address names: "#/review/01J…" is the review of one inspection. */
function showView() {
  const [name, id] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const view = (id && OF_ONE[name]) || VIEWS[name];
  if (!view) return go("live");
  const isOther = shown?.name !== name;
  close();
  shown = { name, ...view(id) };
  shell.show(name === "region" ? "models" : name, shown.element);
  document.title = `${t(`nav.${name}`)} – ${t("app.title")}`;
  shown.opened?.();
  if (isOther && document.activeElement === document.body) shell.focus();
}

on("connection", (state) => {
  document.documentElement.dataset.connection = state;
  if (state === "connected") shown?.refresh?.(); // what was missed meanwhile
});
document.documentElement.dataset.connection = connectionState();

start();
