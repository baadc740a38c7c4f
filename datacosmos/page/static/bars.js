// Stacked bars of discards, on the time axis of the chart above.

import { coloursAt } from "./elements.js";
import { fromISO } from "./ranges.js";

/** @typedef {import("./discards.js").DiscardBucket} DiscardBucket */

const MOST_BARS = 90;
export const ORDER = ["MALFORMED", "TOO_OLD", "SYSTEM", "SUSPECT", "DUPLICATE"];

/**
 * @param {HTMLCanvasElement} canvas
 * @param {DiscardBucket[]} buckets
 * @param {import("./ranges.js").Range} range
 * @param {{ left: number, width: number }} inner where the range lies, in CSS pixels
 * @param {string} chosen the one reason that is drawn, or ""
 */
export function drawBars(canvas, buckets, range, inner, chosen) {
  const bars = gathered(buckets, MOST_BARS);
  const ratio = devicePixelRatio;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const colour = coloursAt(canvas);
  context.scale(ratio, ratio);
  const reasons = ORDER.filter((reason) => !chosen || reason === chosen);
  const most = Math.max(1, ...bars.map((bucket) => reasons.reduce((sum, reason) => sum + countOf(bucket, reason), 0)));
  const scale = (height - 18) / most;
  /** @param {number} time */
  const x = (time) => inner.left + ((time - range.from) / (range.to - range.from)) * inner.width;
  drawAxis(context, colour, most, inner, height);
  context.beginPath();
  context.rect(inner.left, 0, inner.width, height);
  context.clip();
  for (const bucket of bars) {
    const [left, right] = [x(fromISO(bucket.start)), x(fromISO(bucket.end))];
    let top = height - 4;
    for (const reason of reasons) {
      const tall = countOf(bucket, reason) * scale;
      context.fillStyle = colour(`--${reason}`);
      context.fillRect(left + 0.5, top - tall, Math.max(1, right - left - 1), tall);
      top -= tall;
    }
  }
}

/**
 * Several buckets in one, so that there are no more than so many.
 * @param {DiscardBucket[]} buckets
 * @param {number} most
 * @returns {DiscardBucket[]}
 */
export function gathered(buckets, most) {
  const size = Math.ceil(buckets.length / most) || 1;
  const starts = buckets.filter((_, place) => place % size === 0);
  return starts.map(({ start }, place) => {
    const parts = buckets.slice(place * size, (place + 1) * size);
    const counts = parts.flatMap(({ byReason }) => byReason);
    const byReason = ORDER.map((reason) => ({ reason, count: sumOf(counts, reason) }));
    return {
      start,
      end: parts.at(-1)?.end ?? start,
      count: byReason.reduce((sum, { count }) => sum + count, 0),
      byReason,
    };
  });
}

/** @param {DiscardBucket["byReason"]} counts @param {string} wanted */
function sumOf(counts, wanted) {
  return counts.reduce((sum, { reason, count }) => (reason === wanted ? sum + count : sum), 0);
}

/** @param {DiscardBucket} bucket @param {string} wanted */
function countOf({ byReason }, wanted) {
  return byReason.find(({ reason }) => reason === wanted)?.count ?? 0;
}

/** @param {CanvasRenderingContext2D} context @param {(name: string) => string} colour @param {number} most @param {{ left: number, width: number }} inner @param {number} height */
function drawAxis(context, colour, most, { left, width }, height) {
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillStyle = colour("--faint");
  context.fillText(new Intl.NumberFormat(undefined, { notation: "compact" }).format(most), left - 6, 18);
  context.fillText("0", left - 6, height - 3);
  context.fillStyle = colour("--grid");
  context.fillRect(left, 14, width, 1);
  context.fillRect(left, height - 4, width, 1);
}
