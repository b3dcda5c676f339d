// The station's HTTP interface. Every failure is a StationError with a message for people.

import { withoutIds } from "./format.js";
import { t } from "./texts.js";

/** An answer that is no success; `code` and `status` as the station gave them. */
export class StationError extends Error {
  constructor(message, { status = 0, code = "", body = null } = {}) {
    super(withoutIds(message).replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase())); // a sentence, not a path
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

let onUnauthorised = () => {};

/** Say what happens when the station asks for a token. */
export function whenUnauthorised(callback) {
  onUnauthorised = callback;
}

async function send(method, path, body, { signal, allowed = [] } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Requested-With"] = "patchcore-dual";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, signal, credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new StationError(t("error.unreachable"), { code: "unreachable" });
  }
  const value = answer.status === 204 ? null : await answer.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (answer.ok || allowed.includes(answer.status)) {
    if (answer.ok || !value?.error) return value;
  }
  if (answer.status === 401 && path !== "/v1/session") onUnauthorised();
  const said = value?.error;
  const message = said?.message ?? t("error.status", { status: answer.status });
  throw new StationError(message, { status: answer.status, code: said?.code ?? "", body: value });
}

/** A picture that changes with the model, which no cache keeps. */
async function fetchPicture(path) {
  const answer = await fetch(path, { credentials: "same-origin" }).catch(() => {
    throw new StationError(t("error.unreachable"), { code: "unreachable" });
  });
  if (answer.ok) return answer.blob();
  const said = (await answer.json().catch(() => null))?.error;
  throw new StationError(said?.message ?? t("error.status", { status: answer.status }), { status: answer.status });
}

const get = (path, options) => send("GET", path, undefined, options);
const post = (path, body, options) => send("POST", path, body, options);
const name = encodeURIComponent;
const itemsOf = (body) => (Array.isArray(body) ? body : body?.items ?? []);

function queryOf(values) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") query.append(key, one);
    }
  }
  return query.toString();
}

export const api = {
  session: () => get("/v1/session"),
  logIn: (token) => post("/v1/session", { token }),
  logOut: () => send("DELETE", "/v1/session"),
  state: () => get("/v1/state"),
  counts: (since, model) => get(`/v1/counts?${queryOf({ since, model })}`),
  inspections: (query, options) => get(`/v1/inspections?${queryOf(query)}`, options),
  exportAddress: (format, query) => `/v1/inspections.${format}?${queryOf(query)}`,
  inspection: (id) => get(`/v1/inspections/${name(id)}`),
  decide: (id, label, why) => post(`/v1/inspections/${name(id)}/decision`, { label, why }),
  askForReview: (id) => post(`/v1/inspections/${name(id)}/review`),
  takeBack: (id) => send("DELETE", `/v1/inspections/${name(id)}/decision`),
  models: async () => itemsOf(await get("/v1/models")),
  model: (model) => get(`/v1/models/${name(model)}`),
  teach: (model, lesson) => post(`/v1/models/${name(model)}/lessons`, lesson, { allowed: [409] }),
  setThreshold: (model, how) => post(`/v1/models/${name(model)}/thresholds`, how),
  versions: (model) => get(`/v1/models/${name(model)}/versions`),
  undo: (model, to, why) => post(`/v1/models/${name(model)}/undo`, { to, why }),
  tag: (model, tag, version, why) => post(`/v1/models/${name(model)}/tags`, { tag, version, why }),
  compare: (model, a, b) => get(`/v1/models/${name(model)}/compare?${queryOf({ a, b })}`),
  trainingImages: (model) => get(`/v1/models/${name(model)}/training-images`),
  narrow: (model, region) => post(`/v1/models/${name(model)}/region`, region, { allowed: [409] }),
  region: async (model, inspection) => createImageBitmap(await fetchPicture(`/v1/models/${name(model)}/region.png?${queryOf({ inspection })}`)),
  remove: (model, images) => post(`/v1/models/${name(model)}/removals`, images, { allowed: [409] }),
  judge: (model, { run, image }, isRejected) =>
    post(`/v1/models/${name(model)}/synthetic/${name(run)}/${name(image)}`, { is_rejected: isRejected }),
};

/** The address of a picture of an inspection: "image", "map", "overlay", "nearest-normal" … */
export function picture(id, what, width) {
  return `/v1/inspections/${name(id)}/${what}.png${width ? `?width=${width}` : ""}`;
}
