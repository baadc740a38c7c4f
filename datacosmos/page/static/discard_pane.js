// One discard, opened: its payload as text and hex, what was wrong with it, and the winner where it is a duplicate.

import { adviseOn } from "./advice.js";
import { ask } from "./api.js";
import { h } from "./elements.js";
import { formatCount, formatTime, formatValue, visible } from "./formats.js";
import { DISCARD, WINNER } from "./queries.js";
import { fromISO } from "./ranges.js";
import { token } from "./token.js";
import { shown } from "./view.js";

/** @typedef {import("./discards.js").Discard & { tags: string[], duplicateOf: string | null, rawBase64: string }} Opened */

const STEP = 4096; // bytes shown at first, and more with each click

export class DiscardPane extends HTMLElement {
  #dialog = h("dialog", { "aria-labelledby": "discard-title" });
  #asking = new AbortController();

  connectedCallback() {
    this.append(this.#dialog);
    this.#dialog.addEventListener("close", () => shown.view.discard && shown.change({ discard: "" }));
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    token.addEventListener("change", () => this.#show(shown.view.discard));
    shown.watch(["discard"], ({ discard }) => this.#show(discard));
  }

  /** @param {string} id */
  async #show(id) {
    this.#asking.abort();
    this.#asking = new AbortController();
    if (!id) return this.#dialog.close();
    if (!token.isAdmin) return undefined;
    const close = h("button", { type: "button", "aria-label": "Close", onclick: () => this.#dialog.close() }, "×");
    const head = h("div", { class: "row" }, h("h2", { id: "discard-title" }, "Discard"), close);
    const body = await this.#body(id, this.#asking.signal);
    if (shown.view.discard !== id) return undefined;
    this.#dialog.replaceChildren(head, body);
    if (!this.#dialog.open) this.#dialog.showModal();
    return undefined;
  }

  /** @param {string} id @param {AbortSignal} signal */
  async #body(id, signal) {
    try {
      /** @type {{ discard: Opened | null }} */
      const { discard } = await ask(DISCARD, { id }, signal);
      return discard
        ? h("div", {}, facts(discard), await winner(discard, signal), ...payload(discard))
        : h("p", {}, "There is no such discard.");
    } catch (error) {
      return adviseOn(error);
    }
  }
}

/** @param {Opened} discard */
function facts(discard) {
  /** @type {[string, string][]} */
  const told = [
    ["Received", formatTime(fromISO(discard.receivedAt), shown.view.zone)],
    ["Reasons", discard.reasons.map((reason) => reason.toLowerCase().replace("_", " ")).join(", ")],
    ["Faults", discard.faults.map(visible).join("\n")],
    ["Source", visible(discard.source)],
    ["Series", visible(discard.series ?? "–")],
    ["Time", discard.time ? formatTime(fromISO(discard.time), shown.view.zone) : "–"],
    ["Value", discard.value === null ? "–" : formatValue(discard.value)],
    ["Tags", discard.tags.map(visible).join(", ") || "–"],
  ];
  return h(
    "dl",
    { class: "facts" },
    ...told
      .filter(([, text]) => text)
      .map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("bdi", {}, text)))),
  );
}

/** The point that was there first. @param {Opened} discard @param {AbortSignal} signal */
async function winner({ duplicateOf, series, time }, signal) {
  if (!duplicateOf || !series || !time) return h("span");
  /** @type {{ points: { id: string, value: number, receivedAt: string }[] }} */
  const { points } = await ask(WINNER, { series, time }, signal);
  const first = points.find(({ id }) => id === duplicateOf);
  const told = first
    ? `value ${formatValue(first.value)}, received ${formatTime(fromISO(first.receivedAt), shown.view.zone)}`
    : "no longer there";
  return h(
    "p",
    { class: "winner" },
    h("strong", {}, "It repeats a point that was accepted: "),
    told,
    h("br"),
    h("small", {}, visible(duplicateOf)),
  );
}

/** @param {Opened} discard @returns {Node[]} */
function payload({ rawBase64 }) {
  const bytes = Uint8Array.from(atob(rawBase64), (character) => character.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const copy = h("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    const isCopied = await copied(text);
    copy.textContent = isCopied ? "Copied" : "The browser refuses to copy";
  });
  const size = `${formatCount(bytes.length)} bytes`;
  return [
    h("div", { class: "row" }, h("h3", {}, "Payload ", h("small", {}, size)), copy),
    ...growing(bytes.length, "text", (end) => visible(new TextDecoder().decode(bytes.subarray(0, end)))),
    h(
      "details",
      {},
      h("summary", {}, "Hex"),
      ...growing(bytes.length, "hex", (end) => hex(bytes.subarray(0, Math.ceil(end / 4)))),
    ),
  ];
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text); // which is there on secure origins alone
    return true;
  } catch {
    return false;
  }
}

/** A text that is shown part by part, however long it is. @param {number} length @param {string} kind @param {(end: number) => string} read @returns {Node[]} */
function growing(length, kind, read) {
  let end = STEP;
  const text = h("pre", { class: kind, dir: "ltr", tabindex: 0 }, read(end));
  const more = h("button", { type: "button", hidden: end >= length }, "Show more");
  more.addEventListener("click", () => {
    end *= 4;
    text.textContent = read(end);
    more.hidden = end >= length;
  });
  return [text, more];
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const seen = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(47)}  ${seen}`);
  }
  return lines.join("\n");
}

customElements.define("dc-discard", DiscardPane);
