// Ranges of time, in seconds since the epoch, and the intervals of the buckets that they fall into.

/** @typedef {{ from: number, to: number }} Range */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Presets by the name that stands in the address; `all` has no length. */
export const PRESETS = new Map([
  ["15m", { label: "15 min", length: 15 * MINUTE }],
  ["1h", { label: "1 h", length: HOUR }],
  ["6h", { label: "6 h", length: 6 * HOUR }],
  ["24h", { label: "24 h", length: DAY }],
  ["7d", { label: "7 d", length: 7 * DAY }],
  ["30d", { label: "30 d", length: 30 * DAY }],
  ["all", { label: "All", length: Number.NaN }],
]);

/** @type {[string, number][]} */
const INTERVALS = [
  ["PT1S", 1],
  ["PT5S", 5],
  ["PT10S", 10],
  ["PT30S", 30],
  ["PT1M", MINUTE],
  ["PT2M", 2 * MINUTE],
  ["PT5M", 5 * MINUTE],
  ["PT10M", 10 * MINUTE],
  ["PT15M", 15 * MINUTE],
  ["PT30M", 30 * MINUTE],
  ["PT1H", HOUR],
  ["PT2H", 2 * HOUR],
  ["PT6H", 6 * HOUR],
  ["PT12H", 12 * HOUR],
  ["P1D", DAY],
  ["P1W", 7 * DAY],
  ["P1M", 30 * DAY],
  ["P1Y", 365 * DAY],
];

/**
 * The shortest interval that gives a range no more than so many buckets.
 * @param {Range} range
 * @param {number} most
 */
export function intervalOf(range, most) {
  const [name, seconds] = INTERVALS.find(([, seconds]) => (range.to - range.from) / seconds <= most) ?? [
    "P10Y",
    3650 * DAY,
  ];
  return { name, seconds };
}

/** @param {number} seconds */
export function toISO(seconds) {
  return new Date(Math.round(seconds * 1000)).toISOString();
}

/** @param {string} iso */
export function fromISO(iso) {
  return Date.parse(iso) / 1000;
}

const SHORTEST = 0.05; // seconds that a zoom may come down to
const EARLIEST = fromISO("0001-01-02T00:00:00Z");
const LATEST = fromISO("9999-12-30T00:00:00Z");

/**
 * A range, kept within what can be asked for.
 * @param {number} from
 * @param {number} to
 * @returns {Range}
 */
export function within(from, to) {
  const missing = Math.max(0, SHORTEST - (to - from)) / 2;
  return { from: Math.max(EARLIEST, from - missing), to: Math.min(LATEST, to + missing) };
}

/**
 * The range made longer (factor > 1) or shorter, where `at` stays in its place.
 * @param {Range} range
 * @param {number} factor
 * @param {number} at
 */
export function zoomed({ from, to }, factor, at) {
  return within(at - (at - from) * factor, at + (to - at) * factor);
}

/** @param {Range} range @param {number} share of its length, by which it is moved */
export function moved({ from, to }, share) {
  const by = (to - from) * share;
  return within(from + by, to + by);
}

/** What a field for a date and time holds. @param {number} seconds @param {import("./formats.js").Zone} zone */
export function toField(seconds, zone) {
  const date = new Date(seconds * 1000);
  const shifted = zone === "utc" ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** @param {string} text @param {import("./formats.js").Zone} zone */
export function fromField(text, zone) {
  return Date.parse(zone === "utc" ? `${text}Z` : text) / 1000;
}
