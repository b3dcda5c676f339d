// Keys: each view says which it has, the help lists them, and single keys can be turned off.

import { read, write } from "./storage.js";

const scopes = []; // the latest first
let singleKeys = read("single-keys", "on") === "on";

/**
 * Add keys while something is shown; returns what removes them.
 * @param {string} title of the group in the help
 * @param {{keys: string[], text: string, run: (event: KeyboardEvent) => void}[]} bindings
 */
export function bind(title, bindings) {
  const scope = { title, bindings };
  scopes.unshift(scope);
  return () => {
    const index = scopes.indexOf(scope);
    if (index >= 0) scopes.splice(index, 1);
  };
}

/** What the help lists. */
export function groups() {
  return [...scopes];
}

/** Whether single keys work; some people's speech input or switches press them by accident. */
export function areSingleKeysOn() {
  return singleKeys;
}

/** Turn single keys on or off, on this device. */
export function setSingleKeys(isOn) {
  singleKeys = isOn;
  write("single-keys", isOn ? "on" : "off");
}

function isTyping(target) {
  return target.closest?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}

function name(event) {
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return control + key;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || isTyping(event.target)) return;
  const pressed = name(event);
  if (event.key.length === 1 && !pressed.startsWith("Ctrl+") && !singleKeys) return;
  if (pressed === "Enter" && event.target.closest?.("button, a, summary")) return;
  if (pressed === " " && event.target.closest?.("button, summary, input")) return;
  if (document.querySelector("dialog[open]")) return; // a dialog has its own
  for (const scope of scopes) {
    const binding = scope.bindings.find((one) => one.keys.includes(pressed));
    if (binding) {
      event.preventDefault();
      binding.run(event);
      return;
    }
  }
});
