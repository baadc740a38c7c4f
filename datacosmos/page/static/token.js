// Keeps the token of this tab: in memory, or in sessionStorage where that was asked for. Never in an address.

const KEY = "datacosmos:token";

/** @typedef {{ subject: string, role: string, expires: number }} Claims `expires` in seconds since the epoch */

class Token extends EventTarget {
  #text = "";
  /** Why the service does not take it. */
  fault = "";

  constructor() {
    super();
    try {
      this.#text = sessionStorage.getItem(KEY) ?? "";
    } catch {} // a browser that keeps nothing
  }

  /** @returns {Record<string, string>} what a request carries */
  get header() {
    return this.#text ? { Authorization: `Bearer ${this.#text}` } : {};
  }

  get isGiven() {
    return this.#text !== "";
  }

  /** Who it says it is for; unverified. @returns {Claims | null} */
  get claims() {
    return this.#text ? read(this.#text) : null;
  }

  get isAdmin() {
    return this.isGiven && !this.fault && this.claims?.role === "admin";
  }

  /**
   * @param {string} text
   * @param {boolean} stays across a reload of the tab
   */
  keep(text, stays) {
    this.#text = text.trim().replace(/^Bearer\s+/i, "");
    this.fault = "";
    try {
      if (stays) sessionStorage.setItem(KEY, this.#text);
      else sessionStorage.removeItem(KEY);
    } catch {}
    this.#changed();
  }

  forget() {
    this.keep("", false);
  }

  /** The service refuses it. @param {string} fault */
  doubt(fault) {
    if (!this.isGiven || this.fault === fault) return;
    this.fault = fault;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {string} text @returns {Claims | null} */
function read(text) {
  try {
    const part = (text.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    const { sub, role, exp } = JSON.parse(new TextDecoder().decode(bytes));
    return { subject: String(sub), role: String(role), expires: Number(exp) };
  } catch {
    return null;
  }
}

export const token = new Token();
