// The chart of the chosen series: asks for what its range and width need, follows the feed, and draws.

import { AskError, now, playground } from "./api.js";
import { tableOf } from "./behind.js";
import { find, h, replace } from "./elements.js";
import { missing } from "./empty.js";
import { formatCount, formatRange } from "./formats.js";
import { listenToKeys } from "./gestures.js";
import { Live } from "./live.js";
import { boxesOf, curveQuery, extent, forecast, isStored, load } from "./load.js";
import { Plot } from "./plot.js";
import { fromISO, PRESETS, toISO, within } from "./ranges.js";
import { token } from "./token.js";
import { shown } from "./view.js";

/** @typedef {import("./ranges.js").Range} Range */
/** @typedef {import("./load.js").Loaded} Loaded */
/** @typedef {{ name: string, colour: string, hidden: boolean, loaded: Loaded | null, fault: unknown, value: number | null | undefined }} Entry */

const SETTLE = 120; // ms after a zoom before the new range is asked for
const RETRY = 3000;
const REFRESH = 15_000; // ms after which bands and counts are asked for again while the feed brings points
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Chart extends HTMLElement {
  /** @type {Range} */
  range = within(now() - 900, now());
  /** @type {Map<string, Loaded>} */
  loaded = new Map();
  /** @type {import("./plot.js").Mark[]} */
  marks = [];
  /** @type {Map<string, unknown>} */
  #faults = new Map();
  /** @type {Map<string, import("./plot.js").Ahead>} */
  #ahead = new Map();
  #loading = new AbortController();
  /** @type {number | undefined} */
  #timer;
  /** @type {Partial<import("./view.js").View>[]} what was shown before each zoom */
  #zooms = [];
  #isZooming = false;
  #askedWidth = Number.POSITIVE_INFINITY;
  #drawnAt = 0;
  #drawnTo = 0;
  #changed = false;
  #live = new Live({
    onPoints: (name, points) => this.#take(name, points),
    onFresh: () => this.#reload(),
    onState: () => this.#tellLive(),
  });

  connectedCallback() {
    this.append(
      h(
        "div",
        {
          class: "plot",
          tabindex: 0,
          role: "application",
          "aria-label": "Chart. Arrow keys move and zoom, Home goes back.",
          "aria-describedby": "behind-caption",
        },
        h("div", { class: "empty", hidden: true }),
      ),
      h(
        "div",
        { class: "row foot" },
        h("span", { class: "note" }),
        h("a", { class: "playground", href: "/graphql" }, "Open in playground"),
      ),
      h(
        "details",
        { class: "behind" },
        h("summary", {}, "Table"),
        h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of the chart" }),
      ),
    );
    const holder = find(this, ".plot");
    const asked = {
      zoom: (/** @type {Range} */ range) => this.#zoom(range),
      back: () => this.#back(),
      cursor: this.#tellCursor.bind(this),
    };
    this.plot = new Plot(holder, asked);
    holder.addEventListener("keydown", (event) =>
      listenToKeys(event, { range: () => this.range, at: () => 0, ...asked }),
    );
    find(this, "details").addEventListener("toggle", () => this.#drawTable());
    new ResizeObserver(() => this.#width > this.#askedWidth * 1.2 && this.#soon()).observe(holder);
    token.addEventListener("change", () => {
      this.#live.follow([]); // what another token opened
      this.#begin();
    });
    setInterval(() => this.#refresh(), REFRESH);
    document.addEventListener("visibilitychange", () => this.#follow());
    shown.watch(["series", "range", "start", "end", "live", "forecast"], () => this.#begin());
    shown.watch(["off", "zone"], () => this.#draw());
    shown.watch(["theme"], () => this.plot?.redraw());
    requestAnimationFrame(() => this.#tick());
  }

  /** The names that are chosen. */
  get names() {
    return shown.view.series.filter((name) => name !== "");
  }

  get #width() {
    return Math.max(100, Math.round(this.plot?.inner.width ?? 600));
  }

  /** Another choice: what was drawn stays until the new is there. */
  #begin() {
    for (const name of this.loaded.keys()) if (!this.names.includes(name)) this.loaded.delete(name);
    this.#faults.clear();
    this.#follow();
    this.#reload();
  }

  #follow() {
    const names = shown.view.live && !document.hidden ? this.names.filter((name) => !isStored(name)) : [];
    this.#live.follow(names);
  }

  #refresh() {
    const isSampled = [...this.loaded.values()].some(({ exact }) => !exact);
    if (shown.view.live && isSampled && !document.hidden && !this.hasAttribute("aria-busy")) this.#soon();
  }

  #soon() {
    if (this.#isZooming) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reload(), SETTLE);
  }

  async #reload() {
    clearTimeout(this.#timer);
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    this.setAttribute("aria-busy", "true");
    this.#askedWidth = this.#width;
    try {
      this.range = await this.#resolve(signal);
      await Promise.all(this.names.map((name) => this.#load(name, signal)));
      await this.#foresee(signal);
    } catch (error) {
      if (signal.aborted) return;
      for (const name of this.names) this.#faults.set(name, error);
    }
    if (signal.aborted) return;
    this.removeAttribute("aria-busy");
    this.#draw();
    this.dispatchEvent(new CustomEvent("asked"));
    if (this.#isWorthATry()) this.#timer = setTimeout(() => this.#reload(), RETRY);
  }

  /** Whether asking once more may help, or the feed, which would tell of new points, is unavailable. */
  #isWorthATry() {
    const passing = [...this.#faults.values()].some(
      (fault) => fault instanceof AskError && ["UNREACHABLE", "UNAVAILABLE", "INTERNAL"].includes(fault.code),
    );
    return (
      passing ||
      (this.#live.fault !== "" && !document.hidden) ||
      (shown.view.live && this.names.some((name) => this.loaded.get(name)?.known === false))
    );
  }

  /** The range that is chosen, as it is now. @param {AbortSignal} signal @returns {Promise<Range>} */
  async #resolve(signal) {
    const { range, start, end } = shown.view;
    if (range === "") return { from: fromISO(start), to: fromISO(end) };
    const preset = PRESETS.get(range) ?? { length: 900 };
    if (range !== "all") return within(now() - preset.length, now());
    const found = (await Promise.all(this.names.map((name) => extent(name, signal)))).filter((range) => range !== null);
    if (found.length === 0) return this.range;
    const last = Math.max(...found.map(({ to }) => to));
    return within(Math.min(...found.map(({ from }) => from)), this.#live.isFollowing ? Math.max(last, now()) : last);
  }

  /** @param {string} name @param {AbortSignal} signal */
  async #load(name, signal) {
    try {
      const loaded = await load(name, this.range, this.#width, signal);
      loaded.curve.add(
        this.#live
          .recent(name)
          .filter(({ time }) => fromISO(time) >= this.range.from && fromISO(time) <= this.range.to),
      );
      this.loaded.set(name, loaded);
      this.#faults.delete(name);
      this.#draw();
    } catch (error) {
      if (signal.aborted) return;
      this.#faults.set(name, error);
      if (error instanceof AskError && ["UNAUTHENTICATED", "FORBIDDEN", "UNKNOWN_SERIES"].includes(error.code))
        this.loaded.delete(name);
    }
  }

  /** @param {AbortSignal} signal */
  async #foresee(signal) {
    const wanted = shown.view.forecast ? this.names.filter(isStored) : [];
    for (const name of this.#ahead.keys()) if (!wanted.includes(name)) this.#ahead.delete(name);
    for (const name of wanted) {
      const ahead = this.#ahead.get(name) ?? (await this.#forecast(name, signal));
      if (ahead === null) continue;
      this.#ahead.set(name, ahead);
      if (shown.view.range === "all")
        this.range = { ...this.range, to: Math.max(this.range.to, ahead.times.at(-1) ?? 0) };
    }
  }

  /** @param {string} name @param {AbortSignal} signal */
  async #forecast(name, signal) {
    try {
      return await forecast(name, signal);
    } catch (error) {
      this.#faults.set(name, error);
      return null;
    }
  }

  /** Points that were just stored. @param {string} name @param {import("./curve.js").Point[]} points */
  #take(name, points) {
    const loaded = this.loaded.get(name);
    if (!loaded) return;
    loaded.count += loaded.curve.add(points);
    if (loaded.known) {
      this.#changed = true;
      if (loaded.curve.times.length > 8 * this.#width || loaded.curve.isStale) this.#soon();
    } else this.#soon();
  }

  /** Draws what has come, and moves with the time, as often as can be seen. */
  #tick() {
    requestAnimationFrame(() => this.#tick());
    const preset = PRESETS.get(shown.view.range);
    if (!shown.view.live || !preset || document.hidden || this.#isZooming) return;
    const spacing = calm.matches ? 1000 : this.names.length > 1 ? 200 : 100;
    if (performance.now() - this.#drawnAt < spacing) return;
    const moves = now() - this.#drawnTo >= (this.range.to - this.range.from) / this.#width;
    if (!this.#changed && !moves) return;
    this.range =
      shown.view.range === "all"
        ? { ...this.range, to: Math.max(this.range.to, this.#live.isFollowing ? now() : 0) }
        : within(now() - preset.length, now());
    for (const { curve } of this.loaded.values())
      curve.forget(this.range.from - (this.range.to - this.range.from) / 10);
    this.#draw();
  }

  /** @returns {Entry[]} */
  get entries() {
    return shown.view.series.flatMap((name, place) =>
      name === ""
        ? []
        : [
            {
              name,
              colour: `--line-${place}`,
              hidden: shown.view.off.includes(name),
              loaded: this.loaded.get(name) ?? null,
              fault: this.#faults.get(name),
              value: undefined,
            },
          ],
    );
  }

  #draw() {
    if (!this.plot) return;
    this.#changed = false;
    this.#drawnAt = performance.now();
    this.#drawnTo = this.range.to;
    const lines = this.entries.flatMap(({ name, colour, hidden, loaded }) =>
      loaded === null
        ? []
        : [
            {
              colour,
              hidden,
              unit: loaded.unit,
              columns: loaded.curve.columns(),
              boxes: loaded.exact ? [] : boxesOf(loaded.buckets),
              ahead: this.#ahead.get(name) ?? null,
            },
          ],
    );
    this.plot.draw({ zone: shown.view.zone, range: this.range, lines, marks: this.marks, live: shown.view.live });
    this.#tell();
    this.dispatchEvent(new CustomEvent("drawn"));
  }

  /** Marks at their time above the lines. @param {import("./plot.js").Mark[]} marks */
  mark(marks) {
    this.marks = marks;
    this.#draw();
  }

  #tell() {
    const { query, variables } = curveQuery(this.names[0] ?? "datacosmos", this.range, this.#width);
    find(this, ".playground").setAttribute("href", playground(query, variables));
    const counts = this.entries.map(({ loaded }) => loaded).filter((loaded) => loaded !== null);
    const count = counts.reduce((sum, { exact, curve, count }) => sum + (exact ? curve.countIn(this.range) : count), 0);
    const how = counts.every(({ exact }) => exact) ? "all drawn" : "each pixel's extremes drawn";
    const span = formatRange(this.range, shown.view.zone);
    find(this, ".note").textContent = counts.length ? `${span}: ${formatCount(count)} points, ${how}` : "";
    this.#tellEmpty();
    this.#drawTable();
  }

  /** What is missing where nothing is drawn. */
  #tellEmpty() {
    const empty = find(this, ".empty");
    const entries = this.entries;
    const isEmpty =
      entries.every(({ loaded }) => !loaded?.curve.times.length) &&
      (entries.length === 0 || entries.some(({ loaded, fault }) => loaded || fault));
    empty.hidden = !isEmpty;
    if (isEmpty) replace(empty, ...missing(entries));
  }

  #drawTable() {
    const details = /** @type {HTMLDetailsElement} */ (find(this, "details"));
    if (details.open) replace(find(details, ".scroll"), tableOf(this.entries, this.range, shown.view.zone));
  }

  #tellLive() {
    this.dispatchEvent(new CustomEvent("live", { detail: this.#live.fault }));
    if (this.#live.fault && !this.hasAttribute("aria-busy")) this.#timer = setTimeout(() => this.#reload(), RETRY);
  }

  /** @param {number | null} time @param {(number | null)[]} values */
  #tellCursor(time, values) {
    this.dispatchEvent(new CustomEvent("cursor", { detail: { time, values } }));
  }

  /** Another range, drawn at once with what is there; asked for, and written into the address, once it stays. @param {Range} range */
  #zoom(range) {
    this.#isZooming = true;
    this.range = within(range.from, range.to);
    this.#draw();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(), SETTLE);
  }

  #settle() {
    const { from, to } = this.range;
    const { range, start, end, live } = shown.view;
    this.#isZooming = false;
    this.#zooms.push({ range, start, end, live });
    shown.change({ range: "", start: toISO(from), end: toISO(to), live: false });
  }

  /** To what was shown before the last zoom. */
  #back() {
    this.#isZooming = false;
    clearTimeout(this.#timer);
    const before = this.#zooms.pop() ?? { range: shown.view.range || "15m", start: "", end: "", live: true };
    shown.change(before);
    this.#reload();
  }
}

customElements.define("dc-chart", Chart);
