// Whether the service takes and answers, and whether the ledger balances, in words that anyone understands.

import { adviseOn, needsToken } from "./advice.js";
import { AskError, ask, now, request } from "./api.js";
import { h, replace } from "./elements.js";
import { formatAgo, formatCount, formatShortTime, visible } from "./formats.js";
import { LEDGER } from "./queries.js";
import { fromISO } from "./ranges.js";
import { token } from "./token.js";
import { shown } from "./view.js";

/** @typedef {{ status: "ok" | "degraded" | "unavailable", detail: string }} Part */
/** @typedef {{ status: Part["status"], parts: Record<string, Part> }} State */
/** @typedef {{ source: string, messages: number, received: number, accepted: number, discarded: number, inFlight: number, deadLettered: number, oldestInFlight: string | null }} Ledger */

const EVERY = 5000;
const OURS = ["store", "queue", "writer", "calculation"]; // the other parts are sources
const INSTANT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;

class Health extends HTMLElement {
  /** @type {State | null} */
  #state = null;
  /** @type {Ledger[] | null} */
  #ledgers = null;
  /** @type {unknown} */
  #fault = null;
  #since = now();
  #isAsked = false;
  /** @type {number | undefined} */
  #timer;

  connectedCallback() {
    this.append(
      h(
        "details",
        {},
        h("summary", {}, h("span", { class: "lines" }, "Asking how it is…"), h("span", { class: "more" }, "Details")),
        h("div", { class: "parts" }),
      ),
    );
    token.addEventListener("change", () => this.#ask());
    shown.watch(["zone"], () => this.#show());
    document.addEventListener("visibilitychange", () => document.hidden || this.#ask());
    this.#ask();
  }

  async #ask() {
    clearTimeout(this.#timer);
    const [state, ledgers] = await Promise.all([askHealth(), askLedgers()]);
    if ((state === null) !== (this.#state === null)) this.#since = now();
    this.#isAsked = true;
    this.#state = state;
    this.#ledgers = Array.isArray(ledgers) ? ledgers : null;
    this.#fault = Array.isArray(ledgers) ? null : ledgers;
    this.#show();
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), EVERY);
  }

  #show() {
    const lines = this.querySelector(".lines");
    const parts = this.querySelector(".parts");
    if (!lines || !parts) return;
    replace(lines, ...this.#lines());
    replace(parts, ...(this.#state ? [partsOf(this.#state)] : []), ...this.#ledger());
  }

  /** @returns {Node[]} */
  #lines() {
    if (!this.#isAsked) return [h("span", {}, "Asking how it is…")];
    if (this.#state === null) return [line("unavailable", `The service does not answer, since ${short(this.#since)}`)];
    const { status, parts } = this.#state;
    const sources = Object.entries(parts).filter(([name]) => !OURS.includes(name));
    return [
      line(status, status === "ok" ? "All is well" : troubles(parts)),
      ...sources.map(([name, part]) => line(part.status, `Source ${visible(name)} ${sinceOf(part)}`)),
      ...(this.#ledgers ? [balance(this.#ledgers)] : []),
    ];
  }

  /** @returns {Node[]} */
  #ledger() {
    if (this.#ledgers) return [ledgerTable(this.#ledgers)];
    if (!token.isGiven) return [h("h3", {}, "Ledger"), needsToken("admin")];
    return this.#fault ? [h("h3", {}, "Ledger"), adviseOn(this.#fault)] : [];
  }
}

/** @returns {Promise<State | null>} */
async function askHealth() {
  try {
    const response = await request("/health");
    return await response.json();
  } catch {
    return null;
  }
}

/** The ledgers, or why there are none. @returns {Promise<Ledger[] | AskError | null>} */
async function askLedgers() {
  if (!token.isGiven) return null;
  try {
    return (await ask(LEDGER)).ingestion;
  } catch (error) {
    return error instanceof AskError ? error : null;
  }
}

/** @param {string} status @param {string} text */
function line(status, text) {
  return h("span", { class: `line ${status}` }, h("span", { class: "dot", "aria-hidden": "true" }), text);
}

/** @param {number} seconds */
function short(seconds) {
  return formatShortTime(seconds, shown.view.zone);
}

/** Times in it as the reader writes them. @param {string} detail */
function readable(detail) {
  return visible(detail).replace(INSTANT, (iso) => short(fromISO(iso)));
}

/** @param {Part} part */
function sinceOf({ status, detail }) {
  const [since] = detail.match(INSTANT) ?? [];
  if (status !== "unavailable") return readable(detail).replace("answers", "is up, answers");
  return `is down${since ? ` since ${short(fromISO(since))}` : ""}`;
}

/** @param {Record<string, Part>} parts */
function troubles(parts) {
  const unwell = Object.entries(parts).filter(([name, { status }]) => status !== "ok" && OURS.includes(name));
  return (
    unwell.map(([name, { status, detail }]) => `${name} ${status}: ${readable(detail)}`).join("; ") ||
    "A source is down"
  );
}

/** @param {State} state */
function partsOf({ parts }) {
  const told = Object.entries(parts).map(([name, { status, detail }]) =>
    h("div", {}, h("dt", {}, line(status, visible(name))), h("dd", {}, `${status}: ${readable(detail)}`)),
  );
  return h("dl", {}, ...told);
}

/** @param {Ledger} ledger */
function accounted({ accepted, discarded, inFlight, deadLettered }) {
  return accepted + discarded + inFlight + deadLettered;
}

/** @param {Ledger[]} ledgers */
function balance(ledgers) {
  /** @param {keyof Ledger} name */
  const sum = (name) => ledgers.reduce((total, ledger) => total + Number(ledger[name]), 0);
  const [received, accepted, discarded, flying, dead] = /** @type {const} */ ([
    "received",
    "accepted",
    "discarded",
    "inFlight",
    "deadLettered",
  ]).map((name) => formatCount(sum(name)));
  const missing = ledgers.reduce((total, ledger) => total + ledger.received - accounted(ledger), 0);
  const sides = `${received} received = ${accepted} accepted + ${discarded} discarded + ${flying} in flight + ${dead} dead letters`;
  return missing === 0
    ? line("ok", `The ledger balances: ${sides}`)
    : line(
        "unavailable",
        `The ledger does not balance: ${formatCount(Math.abs(missing))} ${missing > 0 ? "missing" : "too many"} of ${received} received`,
      );
}

/** @param {Ledger[]} ledgers */
function ledgerTable(ledgers) {
  const titles = ["Source", "Received", "Accepted", "Discarded", "In flight", "Dead letters", "Balances"];
  const rows = ledgers.map((ledger) => {
    const { source, received, accepted, discarded, inFlight, deadLettered, oldestInFlight } = ledger;
    const counts = [received, accepted, discarded, inFlight, deadLettered].map((count) =>
      h("td", { class: "number" }, formatCount(count)),
    );
    const oldest = oldestInFlight ? `, the oldest in flight from ${formatAgo(now() - fromISO(oldestInFlight))}` : "";
    const isEven = received === accounted(ledger);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, visible(source)),
      ...counts,
      h("td", {}, `${isEven ? "yes" : "no"}${oldest}`),
    );
  });
  const head = titles.map((title, place) =>
    h("th", { scope: "col", class: place > 0 && place < 6 ? "number" : "" }, title),
  );
  const table = h(
    "table",
    {},
    h("caption", {}, "Ledger: what became of all that was received"),
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...rows),
  );
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ledger" }, table);
}

customElements.define("dc-health", Health);
