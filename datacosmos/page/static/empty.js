// What a chart says where there is nothing to draw.

import { adviseOn, noPoints } from "./advice.js";
import { h } from "./elements.js";
import { formatTime } from "./formats.js";
import { shown } from "./view.js";

/** What is missing, and what gives it. @param {import("./chart.js").Entry[]} entries @returns {Node[]} */
export function missing(entries) {
  if (entries.length === 0) return [h("p", {}, "No series is chosen. Choose one from the list.")];
  const [fault] = entries.map(({ fault }) => fault).filter(Boolean);
  if (fault) return [adviseOn(fault)];
  const newest = Math.max(...entries.map(({ loaded }) => loaded?.newest ?? Number.NEGATIVE_INFINITY));
  if (!Number.isFinite(newest)) return [noPoints(entries[0]?.name)];
  const all = () => shown.change({ range: "all", start: "", end: "", live: false });
  return [
    h("p", {}, `No points in this range. The newest is from ${formatTime(newest, shown.view.zone)}.`),
    h("button", { type: "button", onclick: all }, "Show all of it"),
  ];
}
