// The table behind the chart, for those who read rather than look.

import { gathered, ORDER } from "./bars.js";
import { h } from "./elements.js";
import { formatCount, formatTime, formatValue, visible } from "./formats.js";
import { fromISO } from "./ranges.js";

const ROWS = 24;

/** @typedef {{ from: number, to: number, count: number, min: number | null, avg: number | null, max: number | null }} Row */

/**
 * What is drawn, in some two dozen spans of the range.
 * @param {import("./chart.js").Entry[]} entries
 * @param {import("./ranges.js").Range} range
 * @param {import("./formats.js").Zone} zone
 */
export function tableOf(entries, range, zone) {
  const rows = entries.flatMap(({ loaded }) =>
    loaded ? rowsOf(loaded, range).map((row) => rowOf(loaded.name, loaded.unit, row, zone)) : [],
  );
  const head = ["Series", "From", "Points", "Least", "Average", "Greatest"].map((title) =>
    h("th", { scope: "col" }, title),
  );
  return h(
    "table",
    {},
    h("caption", { id: "behind-caption" }, "What the chart shows, span by span"),
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...rows),
  );
}

/** @param {import("./discards.js").DiscardBucket[]} buckets @param {import("./formats.js").Zone} zone */
export function tableOfDiscards(buckets, zone) {
  const rows = gathered(buckets, ROWS).map(({ start, count, byReason }) => {
    const counts = [...byReason.map(({ count }) => count), count].map((count) =>
      h("td", { class: "number" }, formatCount(count)),
    );
    return h("tr", {}, h("td", {}, formatTime(fromISO(start), zone)), ...counts);
  });
  const head = ["From", ...ORDER.map((reason) => reason.toLowerCase().replace("_", " ")), "all"];
  const titles = head.map((title, place) => h("th", { scope: "col", class: place ? "number" : "" }, title));
  return h(
    "table",
    {},
    h("caption", {}, "Discards by reason, span by span"),
    h("thead", {}, h("tr", {}, ...titles)),
    h("tbody", {}, ...rows),
  );
}

/** @param {string} name @param {string} unit @param {Row} row @param {import("./formats.js").Zone} zone */
function rowOf(name, unit, { from, count, min, avg, max }, zone) {
  const values = [min, avg, max].map((value) =>
    h("td", { class: "number" }, value === null ? "no points" : `${formatValue(value)} ${unit}`),
  );
  return h(
    "tr",
    {},
    h("td", {}, visible(name)),
    h("td", {}, formatTime(from, zone)),
    h("td", { class: "number" }, formatCount(count)),
    ...values,
  );
}

/** @param {import("./load.js").Loaded} loaded @param {import("./ranges.js").Range} range @returns {Row[]} */
function rowsOf({ buckets, exact, curve }, range) {
  const span = (range.to - range.from) / ROWS;
  const spans = Array.from({ length: ROWS }, (_, place) => ({
    from: range.from + place * span,
    to: range.from + (place + 1) * span,
  }));
  if (!exact && buckets.length) return spans.map((span) => joined(span, buckets));
  return spans.map((span) => ofPoints(span, curve));
}

/** @param {import("./ranges.js").Range} span @param {import("./load.js").Bucket[]} buckets @returns {Row} */
function joined({ from, to }, buckets) {
  const inside = buckets.filter(({ start }) => fromISO(start) >= from && fromISO(start) < to);
  const filled = inside.filter(({ count }) => count > 0);
  const count = filled.reduce((sum, bucket) => sum + bucket.count, 0);
  if (count === 0) return { from, to, count, min: null, avg: null, max: null };
  const avg = filled.reduce((sum, bucket) => sum + (bucket.avg ?? 0) * bucket.count, 0) / count;
  return {
    from,
    to,
    count,
    min: Math.min(...filled.map(({ min }) => min ?? Number.POSITIVE_INFINITY)),
    avg,
    max: Math.max(...filled.map(({ max }) => max ?? Number.NEGATIVE_INFINITY)),
  };
}

/** @param {import("./ranges.js").Range} span @param {import("./curve.js").Curve} curve @returns {Row} */
function ofPoints({ from, to }, { times, values }) {
  const inside = values.filter(
    (_, place) => /** @type {number} */ (times[place]) >= from && /** @type {number} */ (times[place]) < to,
  );
  const count = inside.length;
  if (count === 0) return { from, to, count, min: null, avg: null, max: null };
  return {
    from,
    to,
    count,
    min: Math.min(...inside),
    avg: inside.reduce((sum, value) => sum + value, 0) / count,
    max: Math.max(...inside),
  };
}
