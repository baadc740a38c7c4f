// What is chosen, as it stands in the address: a link shows the same, back and forward work.

/**
 * @typedef {object} View
 * @property {string[]} series `name` of readings, `stored/id` of stored ones; a place is a colour, "" a free one
 * @property {string[]} off those that are not drawn
 * @property {string} range a preset, or "" where start and end are given
 * @property {string} start
 * @property {string} end
 * @property {boolean} live
 * @property {import("./formats.js").Zone} zone
 * @property {string} theme light, dark, or "" for the system's
 * @property {string} search
 * @property {string} reason of discards
 * @property {string} source of discards
 * @property {string} before the cursor that a page of discards ends before
 * @property {string} discard the one that is open
 * @property {string} forecast on where a stored series' forecast is drawn
 */

/** @type {View} */
const FIRST = {
  series: ["datacosmos"],
  off: [],
  range: "15m",
  start: "",
  end: "",
  live: true,
  zone: "local",
  theme: "",
  search: "",
  reason: "",
  source: "",
  before: "",
  discard: "",
  forecast: "",
};
const TEXTS = /** @type {const} */ ([
  "range",
  "start",
  "end",
  "theme",
  "search",
  "reason",
  "source",
  "before",
  "discard",
  "forecast",
]);
export const MOST_SERIES = 4;

/** @param {string} fragment @returns {View} */
export function parse(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const view = { ...FIRST };
  for (const name of TEXTS) view[name] = given.get(name) ?? FIRST[name];
  if (given.has("series")) view.series = given.getAll("series").slice(0, MOST_SERIES);
  view.off = given.getAll("off");
  view.zone = given.get("zone") === "utc" ? "utc" : "local";
  if (isTime(view.start) && isTime(view.end) && view.start < view.end) view.range = "";
  else view.start = view.end = "";
  view.live = given.get("live") !== "no" && view.range !== "";
  return view;
}

/** @param {string} text */
function isTime(text) {
  return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) && !Number.isNaN(Date.parse(text));
}

/** @param {View} view */
export function print(view) {
  const given = new URLSearchParams();
  const series = view.series.join("\n").replace(/\n+$/, "").split("\n");
  if (series.join("\n") !== FIRST.series.join("\n")) for (const name of series) given.append("series", name);
  for (const name of view.off) given.append("off", name);
  for (const name of TEXTS) if (view[name] !== FIRST[name] && view[name] !== "") given.set(name, view[name]);
  if (view.zone !== FIRST.zone) given.set("zone", view.zone);
  if (view.live !== FIRST.live && view.range !== "") given.set("live", "no");
  const text = given.toString();
  return text && `#${text}`;
}

/** The one view of this tab. `change` events carry the view before. */
class Shown extends EventTarget {
  /** @type {View} */
  view = parse(location.hash);

  constructor() {
    super();
    addEventListener("popstate", () => this.#show(parse(location.hash)));
  }

  /**
   * @param {Partial<View>} changes
   * @param {{ replace?: boolean }} [options] replace: no step of its own for back and forward
   */
  change(changes, { replace = false } = {}) {
    const view = { ...this.view, ...changes };
    const address = location.pathname + print(view);
    if (replace || print(view) === print(this.view)) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    this.#show(view);
  }

  /** @param {View} view */
  #show(view) {
    const before = this.view;
    this.view = view;
    this.dispatchEvent(new CustomEvent("change", { detail: before }));
  }

  /**
   * Calls back now, and whenever one of the named parts of the view changes.
   * @param {(keyof View)[]} names
   * @param {(view: View) => void} callback
   */
  watch(names, callback) {
    this.addEventListener("change", (event) => {
      const before = /** @type {CustomEvent<View>} */ (event).detail;
      if (names.some((name) => String(before[name]) !== String(this.view[name]))) callback(this.view);
    });
    callback(this.view);
  }
}

export const shown = new Shown();
