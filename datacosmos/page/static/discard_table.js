// Discards as rows, newest first: when, why, from where, and the beginning of what came.

import { h } from "./elements.js";
import { formatLength, formatShortTime, visible } from "./formats.js";
import { fromISO } from "./ranges.js";
import { shown } from "./view.js";

/** @typedef {import("./discards.js").Discard} Discard */

/** How a reason reads. @param {string} reason */
export function named(reason) {
  return reason.toLowerCase().replace("_", " ");
}

/** @param {Discard} discard */
function wrong({ faults, reason, time, receivedAt }) {
  if (faults.length) return visible(faults.join("; "));
  if (reason === "DUPLICATE") return "repeats an accepted point";
  const age = time === null ? 0 : fromISO(receivedAt) - fromISO(time);
  if (reason === "TOO_OLD") return `${formatLength(age)} old when it was received`;
  return age < 0 && reason === "SUSPECT" ? `${formatLength(-age)} in the future` : `tagged ${named(reason)}`;
}

/** @param {Discard[]} discards newest first @param {(id: string) => void} open */
export function tableOf(discards, open) {
  const head = ["Received", "Reason", "Source", "Series", "What was wrong", "Payload"].map((title) =>
    h("th", { scope: "col" }, title),
  );
  const rows = discards.map((discard) => {
    const reasons = discard.reasons.map((reason) =>
      h("span", { class: "reason" }, h("span", { class: "swatch", "data-reason": reason }), named(reason)),
    );
    const button = h(
      "button",
      { type: "button", class: "link", onclick: () => open(discard.id) },
      formatShortTime(fromISO(discard.receivedAt), shown.view.zone),
    );
    return h(
      "tr",
      {},
      h("td", {}, button),
      h("td", {}, ...reasons),
      h("td", {}, visible(discard.source)),
      h("td", {}, h("bdi", {}, visible(discard.series ?? "–"))),
      h("td", {}, wrong(discard)),
      h("td", {}, h("code", { class: "preview", dir: "ltr" }, visible(discard.rawPreview) || "(nothing)")),
    );
  });
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}
