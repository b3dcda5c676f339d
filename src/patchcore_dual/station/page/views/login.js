// Login by a token. The station keeps it in a cookie that scripts cannot read.

import { api } from "../api.js";
import { h } from "../dom.js";
import { t } from "../texts.js";
import { icon } from "../parts/icons.js";

/** @param {() => void} onEntered called once the token is accepted */
export function loginView(onEntered) {
  const token = h("input", { type: "password", name: "token", required: true, autocomplete: "current-password", spellcheck: "false", autocapitalize: "off", "aria-describedby": "login-hint" });
  const message = h("p", { class: "refused", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "button button-main button-wide" }, t("login.enter"));
  const form = h("form", {
    class: "card login",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await api.logIn(token.value.trim());
        await onEntered();
      } catch (error) {
        message.hidden = false;
        message.replaceChildren(icon("warning"), error.message);
        button.disabled = false;
        token.select();
      }
    },
  },
    h("h1", {}, t("app.title")),
    h("p", { id: "login-hint", class: "quiet" }, t("login.hint")),
    h("label", { class: "field" }, h("span", {}, t("login.token")), token),
    message, button);
  return h("main", { class: "alone" }, form);
}
