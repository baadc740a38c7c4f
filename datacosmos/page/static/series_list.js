// The list of series: search, the newest value and how long ago it was, a small line; a click draws it.

import { adviseOn, noPoints } from "./advice.js";
import { AskError, ask, now } from "./api.js";
import { find, h, replace } from "./elements.js";
import { formatAgo, formatValue, visible } from "./formats.js";
import { storedName, UNITS } from "./load.js";
import { SERIES, STORED_SERIES } from "./queries.js";
import { fromISO, toISO } from "./ranges.js";
import { sparkline } from "./sparkline.js";
import { token } from "./token.js";
import { MOST_SERIES, shown } from "./view.js";

/** @typedef {{ name: string, label: string, about: string, value: number | null, unit: string, time: number | null, values: (number | null)[] }} Listed */

const EVERY = 10_000;

export class SeriesList extends HTMLElement {
  #asking = new AbortController();
  /** @type {number | undefined} */
  #timer;
  /** @type {Listed[]} */
  listed = [];

  connectedCallback() {
    const search = h("input", { type: "search", placeholder: "Search series", "aria-label": "Search series" });
    this.append(search, h("ul", {}), h("div", { class: "note" }));
    search.addEventListener("input", () => shown.change({ search: search.value }, { replace: true }));
    shown.watch(["search"], (view) => {
      if (search.value !== view.search) search.value = view.search;
      this.#ask();
    });
    shown.watch(["series"], () => this.#show());
    token.addEventListener("change", () => this.#ask());
    document.addEventListener("visibilitychange", () => document.hidden || this.#ask());
  }

  async #ask() {
    clearTimeout(this.#timer);
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      const [readings, stored] = await Promise.all([readingsSeries(signal), storedSeries(signal)]);
      this.listed = [...readings.listed, ...stored.listed];
      this.#show();
      const more = readings.isMore || stored.isMore ? h("p", {}, "There are more: search for a part of the name.") : "";
      replace(
        find(this, ".note"),
        ...(this.listed.length ? [] : [shown.view.search ? h("p", {}, "No series has that in its name.") : noPoints()]),
        ...(more ? [more] : []),
        ...(token.isGiven ? [] : [hint()]),
      );
      this.dispatchEvent(new CustomEvent("listed"));
    } catch (error) {
      if (!signal.aborted) replace(find(this, ".note"), adviseOn(error));
    }
    if (!signal.aborted && !document.hidden) this.#timer = setTimeout(() => this.#ask(), EVERY);
  }

  #show() {
    const list = find(this, "ul");
    const focused = document.activeElement?.closest("[data-name]")?.getAttribute("data-name");
    replace(list, ...this.listed.map(item));
    if (focused)
      list
        .querySelector(`[data-name="${CSS.escape(focused)}"]`)
        ?.querySelector("button")
        ?.focus();
  }
}

function hint() {
  return h("p", {}, "Without a token only public series are listed.");
}

/** @param {AbortSignal} signal */
async function readingsSeries(signal) {
  const end = now();
  const { seriesConnection: found } = await ask(
    SERIES,
    { search: shown.view.search || null, start: toISO(end - 3600), end: toISO(end) },
    signal,
  );
  /** @type {Listed[]} */
  const listed = found.edges.map((/** @type {any} */ { node }) => ({
    name: node.name,
    label: node.name,
    about: node.source,
    value: node.last?.value ?? null,
    unit: UNITS.get(node.source) ?? "",
    time: node.last ? fromISO(node.last.time) : null,
    values: node.buckets.map((/** @type {{ avg: number | null }} */ { avg }) => avg),
  }));
  return { listed, isMore: found.pageInfo.hasNextPage };
}

/** @param {AbortSignal} signal */
async function storedSeries(signal) {
  const search = shown.view.search || null;
  const found = await ask(STORED_SERIES, { search }, signal).then(
    ({ storedSeriesConnection }) => storedSeriesConnection,
    (error) => {
      if (error instanceof AskError && error.code === "UNAUTHENTICATED") return null; // as the token's field says
      throw error;
    },
  );
  if (found === null) return { listed: [], isMore: false };
  /** @type {Listed[]} */
  const listed = found.edges.map((/** @type {any} */ { node }) => ({
    name: storedName(node.id),
    label: node.name ?? node.id,
    about: "stored",
    value: node.sampled.points.at(-1)?.value ?? null,
    unit: node.unit,
    time: node.end ? fromISO(node.end) : null,
    values: node.sampled.points.map((/** @type {{ value: number }} */ { value }) => value),
  }));
  return { listed, isMore: found.pageInfo.hasPreviousPage };
}

/** @param {Listed} listed */
function item({ name, label, about, value, unit, time, values }) {
  const isChosen = shown.view.series.includes(name);
  const newest = value === null ? "–" : `${formatValue(value, 4)} ${unit}`.trim();
  const button = h(
    "button",
    { type: "button", "aria-pressed": String(isChosen), onclick: () => toggle(name) },
    h("span", { class: "name", title: visible(label) }, h("bdi", {}, visible(label))),
    h("span", { class: "value" }, newest),
    h("span", { class: "about" }, about, time === null ? "" : ` · ${formatAgo(now() - time, "narrow")}`),
    null,
  );
  button.append(sparkline(values));
  return h("li", { "data-name": name }, button);
}

/** Takes the first free place, which is its colour. @param {string} name */
export function toggle(name) {
  const series = [...shown.view.series];
  const place = series.indexOf(name);
  if (place >= 0) series[place] = "";
  else if (series.includes("")) series[series.indexOf("")] = name;
  else if (series.length < MOST_SERIES) series.push(name);
  else series[MOST_SERIES - 1] = name;
  shown.change({ series, off: shown.view.off.filter((other) => other !== name) });
}

customElements.define("dc-series", SeriesList);
