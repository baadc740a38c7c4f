// Numbers and times as the reader's browser writes them, and texts of strangers made harmless to read.

/** @typedef {"local" | "utc"} Zone */

/** @type {Map<string, Intl.DateTimeFormat>} */
const made = new Map();

/**
 * @param {Zone} zone
 * @param {Intl.DateTimeFormatOptions} options
 */
function dates(zone, options) {
  const key = zone + JSON.stringify(options);
  const format =
    made.get(key) ?? new Intl.DateTimeFormat(undefined, zone === "utc" ? { ...options, timeZone: "UTC" } : options);
  made.set(key, format);
  return format;
}

/** @type {Intl.DateTimeFormatOptions} */
const DAY = { year: "numeric", month: "short", day: "numeric" };
/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

/**
 * A whole time; milliseconds where there are some.
 * @param {number} seconds since the epoch
 * @param {Zone} zone
 */
export function formatTime(seconds, zone) {
  const milliseconds = Math.round(seconds * 1000);
  const fraction = milliseconds % 1000 ? /** @type {const} */ ({ fractionalSecondDigits: 3 }) : {};
  return dates(zone, { ...DAY, ...CLOCK, ...fraction }).format(milliseconds) + (zone === "utc" ? " UTC" : "");
}

/** From one time to another. @param {import("./ranges.js").Range} range @param {Zone} zone */
export function formatRange({ from, to }, zone) {
  const text = dates(zone, { ...DAY, ...CLOCK }).formatRange(from * 1000, to * 1000);
  return text + (zone === "utc" ? " UTC" : "");
}

/**
 * The time of day alone where it is today's.
 * @param {number} seconds
 * @param {Zone} zone
 */
export function formatShortTime(seconds, zone) {
  const sameDay = dates(zone, DAY).format(seconds * 1000) === dates(zone, DAY).format(Date.now());
  return sameDay
    ? dates(zone, CLOCK).format(seconds * 1000)
    : formatTime(Math.floor(seconds), zone).replace(" UTC", "");
}

/**
 * What the ticks of a time axis say; the day stands below the first, and below each that begins another.
 * @param {number[]} ticks seconds
 * @param {number} step seconds from one to the next
 * @param {Zone} zone
 */
export function formatTicks(ticks, step, zone) {
  const clock = clockOf(step);
  let before = "";
  return ticks.map((tick) => {
    const day = dates(zone, clock ? { day: "numeric", month: "short" } : { year: "numeric" }).format(tick * 1000);
    const text = dates(zone, clock ?? dayOf(step)).format(tick * 1000);
    const head = day === before || day === text ? text : `${text}\n${day}`;
    before = day;
    return head;
  });
}

/** @param {number} step @returns {Intl.DateTimeFormatOptions | null} */
function clockOf(step) {
  if (step < 1) return { minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };
  if (step < 60) return CLOCK;
  return step < 86_400 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : null;
}

/** @param {number} step @returns {Intl.DateTimeFormatOptions} */
function dayOf(step) {
  if (step < 28 * 86_400) return { day: "numeric", month: "short" };
  return step < 365 * 86_400 ? { month: "short" } : { year: "numeric" };
}

/** @param {number} value @param {number} [digits] that count */
export function formatValue(value, digits = 6) {
  const size = Math.abs(value);
  const notation = size !== 0 && (size >= 1e9 || size < 1e-4) ? "scientific" : "standard";
  return new Intl.NumberFormat(undefined, { maximumSignificantDigits: digits, notation }).format(value);
}

/** @param {number} count */
export function formatCount(count) {
  return new Intl.NumberFormat().format(count);
}

/**
 * The values of an axis, all with as many decimals as its step needs.
 * @param {number[]} ticks
 * @param {number} step
 */
export function formatAxis(ticks, step) {
  const decimals =
    Number(step.toPrecision(3))
      .toFixed(12)
      .replace(/\.?0+$/, "")
      .split(".")[1]?.length ?? 0;
  const most = Math.max(...ticks.map(Math.abs));
  const format =
    most >= 1e5 || decimals > 5
      ? new Intl.NumberFormat(undefined, {
          notation: most >= 1e15 || decimals > 5 ? "scientific" : "compact",
          maximumSignificantDigits: 4,
        })
      : new Intl.NumberFormat(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return ticks.map((tick) => format.format(tick));
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago, such as "3 min ago". @param {number} seconds @param {"short" | "narrow"} [style] */
export function formatAgo(seconds, style = "short") {
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style });
  return format.format(-Math.floor(Math.max(0, seconds) / length), unit);
}

/** A length of time, in its two largest units. @param {number} seconds */
export function formatLength(seconds) {
  let rest = seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const parts = [];
  for (const [unit, length] of UNITS) {
    const count = unit === "second" ? rest : Math.floor(rest / length);
    rest -= count * length;
    if (count && parts.length < 2)
      parts.push(new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "short" }).format(count));
  }
  return (
    parts.join(" ") ||
    new Intl.NumberFormat(undefined, { style: "unit", unit: "second", unitDisplay: "short" }).format(0)
  );
}

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * A text of strangers whose characters can all be seen: none hides, or turns the direction of writing.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(HIDDEN, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === "\n" || character === "\t") return character;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}
