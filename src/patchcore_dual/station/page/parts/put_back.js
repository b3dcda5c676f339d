// Undoing a change of a model that was just made, from the note that says it was.

import { api } from "../api.js";
import { t } from "../texts.js";
import { note, noteError } from "./dialogs.js";

/**
 * Undo it, unless the model was changed since: then only the ledger can say what is meant.
 * @param {string} model
 * @param {{before: number, version: number, why: string, done: string}} change the version in use
 *   before it and the one that it made; a reason for the ledger, and what is said once it is undone
 */
export async function putBack(model, { before, version, why, done }) {
  try {
    const { in_place: inPlace } = await api.versions(model);
    if (inPlace !== version) return note(t("review.changedSince", { version }), { isError: true });
    await api.undo(model, before, why);
    note(done);
  } catch (error) {
    noteError(error);
  }
}
