// Who uses the page, and which model they look at.

import { api } from "./api.js";
import { read, write } from "./storage.js";

/** Role "read", "inspect" or "teach", null before a login; the token's name; the models. */
export const session = { role: null, name: "", needs_token: false, models: [] };

const listeners = new Set();

/** Fetch the models' names and versions anew. */
export async function loadModels() {
  session.models = await api.models();
}

/** Whether this user may change models and decide. */
export function mayTeach() {
  return session.role === "teach";
}

/** The model that is looked at; "" for all of them. */
export function chosenModel() {
  const chosen = read("model", "");
  return session.models.some((model) => model.name === chosen) ? chosen : "";
}

/** The same, for views that show one model. */
export function oneModel() {
  return chosenModel() || session.models[0]?.name || "";
}

/** Look at another model. */
export function chooseModel(name) {
  write("model", name);
  for (const callback of listeners) callback(name);
}

/** Listen to that; returns what stops it. */
export function onModel(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}
