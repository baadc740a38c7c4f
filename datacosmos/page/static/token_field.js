// The field for a token, whose it is and until when, and a click that forgets it.

import { AskError, ask, now } from "./api.js";
import { h } from "./elements.js";
import { formatTime, visible } from "./formats.js";
import { LEDGER } from "./queries.js";
import { token } from "./token.js";
import { shown } from "./view.js";

class TokenField extends HTMLElement {
  connectedCallback() {
    token.addEventListener("change", () => this.#show());
    this.addEventListener("wanted", () => this.#open());
    shown.watch(["zone"], () => this.#show());
    if (token.isGiven) this.#try();
    setInterval(() => this.#expire(), 5000);
  }

  #show() {
    const wasOpen = this.querySelector("details")?.open ?? false;
    this.replaceChildren(token.isGiven ? this.#given() : this.#field(wasOpen));
  }

  #open() {
    if (token.isGiven) token.forget();
    const details = this.querySelector("details");
    if (details) details.open = true;
    this.querySelector("input")?.focus();
  }

  #given() {
    const { claims, fault } = token;
    const who = claims ? `${visible(claims.subject)} (${visible(claims.role)})` : "unreadable";
    const until =
      claims && Number.isFinite(claims.expires) ? `until ${formatTime(claims.expires, shown.view.zone)}` : "";
    const remove = h("button", { type: "button", onclick: () => token.forget() }, "Remove token");
    return h(
      "div",
      { class: fault ? "who refused" : "who" },
      h("span", {}, `Token of ${who} `, h("small", {}, until)),
      remove,
      fault && h("p", { class: "fault", role: "alert" }, `This token is refused: ${visible(fault)}.`),
    );
  }

  /** @param {boolean} isOpen */
  #field(isOpen) {
    const input = h("input", {
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      name: "token",
    });
    const stays = h("input", { type: "checkbox" });
    const form = h(
      "form",
      {},
      h("label", {}, "Token", input),
      h("label", { class: "check" }, stays, "Keep it when this tab reloads"),
      h("button", {}, "Use token"),
      h(
        "p",
        { class: "note" },
        "It stays in this tab, and is sent to this service alone. ",
        h("code", {}, "datacosmos token --role admin"),
        " prints one.",
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token.keep(input.value, stays.checked);
      this.querySelector("button")?.focus();
      this.#try();
    });
    return h("details", { open: isOpen }, h("summary", {}, "Token"), form);
  }

  /** Asks for something that takes a valid token; what is refused is told in place. */
  async #try() {
    await ask(LEDGER).catch((error) => {
      if (!(error instanceof AskError)) throw error;
    });
  }

  #expire() {
    const { claims } = token;
    if (claims && claims.expires < now()) token.doubt("it has expired; ask for a new one");
  }
}

customElements.define("dc-token", TokenField);
