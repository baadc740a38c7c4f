// Names, colours and values of what the chart draws; a name is a switch.

import { adviseOn } from "./advice.js";
import { now } from "./api.js";
import { find, h, replace } from "./elements.js";
import { formatAgo, formatLength, formatShortTime, formatTime, formatValue, visible } from "./formats.js";
import { isStored } from "./load.js";
import { shown } from "./view.js";

/** @typedef {import("./chart.js").Chart} Chart */
/** @typedef {import("./chart.js").Entry} Entry */

export class Legend extends HTMLElement {
  /** @type {{ time: number | null, values: (number | null)[] }} */
  #cursor = { time: null, values: [] };
  /** @type {Map<string, HTMLLIElement>} */
  #items = new Map();

  /** @param {Chart} chart */
  follow(chart) {
    this.append(h("p", { class: "cursor" }), h("ul", {}));
    chart.addEventListener("drawn", () => this.#show(chart));
    chart.addEventListener("cursor", (event) => {
      this.#cursor = /** @type {CustomEvent} */ (event).detail;
      this.#show(chart);
    });
  }

  /** @param {Chart} chart */
  #show(chart) {
    const { time, values } = this.#cursor;
    find(this, ".cursor").textContent = time === null ? "Newest values" : formatTime(time, shown.view.zone);
    const entries = chart.entries;
    const drawn = entries.filter(({ loaded }) => loaded !== null);
    this.#arrange(entries);
    for (const entry of entries) {
      const under = time === null ? entry.loaded?.curve.last?.value : values[drawn.indexOf(entry)];
      update(/** @type {HTMLLIElement} */ (this.#items.get(entry.name)), entry, under ?? null, chart.range);
    }
  }

  /** An item for each, in their order; those that stay keep the focus. @param {Entry[]} entries */
  #arrange(entries) {
    const names = entries.map(({ name }) => name);
    if (names.join("\n") === [...this.#items.keys()].join("\n")) return;
    this.#items = new Map(entries.map((entry) => [entry.name, this.#items.get(entry.name) ?? item(entry)]));
    find(this, "ul").replaceChildren(...this.#items.values());
  }
}

/** @param {Entry} entry */
function item({ name }) {
  const toggle = h(
    "button",
    { type: "button", class: "toggle", onclick: () => hide(name) },
    h("span", { class: "swatch" }),
    h("bdi", {}),
  );
  const remove = h("button", { type: "button", class: "remove", title: "Remove", onclick: () => drop(name) }, "×");
  const about = h("span", { class: "about" });
  return h("li", {}, toggle, h("span", { class: "value" }), about, isStored(name) && forecastSwitch(), remove);
}

/**
 * @param {HTMLLIElement} item
 * @param {Entry} entry
 * @param {number | null} value
 * @param {import("./ranges.js").Range} range
 */
function update(item, entry, value, range) {
  const { name, loaded, hidden, colour } = entry;
  const label = visible(loaded?.name ?? name);
  item.classList.toggle("off", hidden);
  find(item, ".toggle").setAttribute("aria-pressed", String(!hidden));
  find(item, ".swatch").dataset["colour"] = colour;
  find(item, "bdi").textContent = label;
  find(item, ".value").textContent = value === null ? "–" : `${formatValue(value)} ${loaded?.unit ?? ""}`.trim();
  find(item, ".remove").setAttribute("aria-label", `Remove ${label} from the chart`);
  item.querySelector(".forecast")?.setAttribute("aria-pressed", String(shown.view.forecast === "on"));
  replace(find(item, ".about"), ...about(entry, range));
}

/** @param {Entry} entry @param {import("./ranges.js").Range} range @returns {Node[]} */
function about({ loaded, fault }, range) {
  if (fault) return [adviseOn(fault)];
  if (loaded === null) return [h("span", {}, "loading…")];
  const last = loaded.curve.last;
  const ago = last && shown.view.live ? [h("span", {}, formatAgo(now() - last.time))] : [];
  const gap = loaded.curve.gaps(range.from, range.to).at(-1);
  const none = loaded.exact ? "no gap in view" : `no gap of more than ${formatLength(loaded.curve.longest)} in view`;
  const view = gap ? tellGap(gap) : h("span", {}, last ? none : "no points in view");
  return [...ago, view, ...(last ? [] : newest(loaded)), ...metricsOf(loaded)];
}

/** When the newest is, where none is in view. @param {import("./load.js").Loaded} loaded @returns {Node[]} */
function newest({ newest: time }) {
  if (time === null) return [];
  const all = () => shown.change({ range: "all", start: "", end: "", live: false });
  const text = `show all, up to ${formatShortTime(time, shown.view.zone)}`;
  return [h("button", { type: "button", class: "link", onclick: all }, text)];
}

/** @param {import("./curve.js").Gap} gap */
function tellGap({ from, to }) {
  const [begin, end] = [from, to].map((time) => formatShortTime(time, shown.view.zone));
  return h("span", { class: "gap" }, `last gap ${begin} – ${end} (${formatLength(to - from)})`);
}

/** @param {import("./load.js").Loaded} loaded @returns {Node[]} */
function metricsOf({ metrics, unit }) {
  const known = Object.entries(metrics ?? {}).filter(([, value]) => value !== null);
  const told = known.map(([name, value]) => {
    const text = `${formatValue(value ?? 0)} ${name === "count" ? "" : unit}`;
    return h("div", {}, h("dt", {}, name), h("dd", {}, text));
  });
  return told.length ? [h("dl", { class: "metrics" }, ...told)] : [];
}

function forecastSwitch() {
  const change = () => shown.change({ forecast: shown.view.forecast ? "" : "on" });
  return h("button", { type: "button", class: "forecast", onclick: change }, "Forecast");
}

/** @param {string} name */
function hide(name) {
  const { off } = shown.view;
  shown.change({ off: off.includes(name) ? off.filter((other) => other !== name) : [...off, name] });
}

/** The others keep their colours. @param {string} name */
function drop(name) {
  const { series, off } = shown.view;
  shown.change({
    series: series.map((other) => (other === name ? "" : other)),
    off: off.filter((other) => other !== name),
  });
}

customElements.define("dc-legend", Legend);
