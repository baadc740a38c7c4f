// What was discarded in the range of the chart, and why, for administrators.

import { adviseOn, needsToken } from "./advice.js";
import { ask, playground } from "./api.js";
import { drawBars, ORDER } from "./bars.js";
import { tableOfDiscards } from "./behind.js";
import { DiscardPane } from "./discard_pane.js";
import { named, tableOf } from "./discard_table.js";
import { find, h, replace } from "./elements.js";
import { exportDiscards } from "./export.js";
import { formatCount } from "./formats.js";
import { DISCARD_BUCKETS, DISCARDS } from "./queries.js";
import { fromISO, intervalOf, toISO } from "./ranges.js";
import { token } from "./token.js";
import { shown } from "./view.js";

/** @typedef {{ start: string, end: string, count: number, byReason: { reason: string, count: number }[] }} DiscardBucket */
/** @typedef {{ id: string, receivedAt: string, source: string, series: string | null, time: string | null, value: number | null, reason: string, reasons: string[], faults: string[], rawPreview: string }} Discard */

const BUCKETS = 400; // as many as marks above the chart can be told apart
const EVERY = 10_000;
const MOST_MARKS = 400;

export class Discards extends HTMLElement {
  #asking = new AbortController();
  /** @type {number | undefined} */
  #timer;
  /** @type {DiscardBucket[]} */
  #buckets = [];
  /** @type {import("./ranges.js").Range | null} */
  #asked = null;
  #filtered = "";

  /** @param {import("./chart.js").Chart} chart */
  follow(chart) {
    this.chart = chart;
    this.pane = new DiscardPane();
    this.append(...this.#parts(), this.pane);
    chart.addEventListener("asked", () => this.#ask());
    chart.addEventListener("drawn", () => this.#drawBars());
    token.addEventListener("change", () => this.#ask());
    shown.watch(["reason", "source", "before", "zone"], () => this.#ask());
  }

  /** @returns {Node[]} */
  #parts() {
    const reasons = h("div", { class: "reasons", role: "group", "aria-label": "Reason" });
    const source = h("input", { type: "search", placeholder: "Source", "aria-label": "Source" });
    source.addEventListener("change", () => shown.change({ source: source.value.trim(), before: "" }));
    shown.watch(["source"], (view) => (source.value = view.source));
    const save = h("button", { type: "button", class: "export", onclick: () => this.#export() }, "Export CSV");
    const newest = h(
      "button",
      { type: "button", class: "newest", onclick: () => shown.change({ before: "" }) },
      "Newest",
    );
    const older = h("button", { type: "button", class: "older" }, "Older");
    return [
      h("div", { class: "advice" }),
      h(
        "div",
        { class: "shown" },
        h("div", { class: "row filters" }, reasons, source),
        h("canvas", { class: "bars", role: "img", "aria-label": "Discards over time, by reason" }),
        h(
          "details",
          { class: "behind" },
          h("summary", {}, "Table"),
          h("div", { class: "scroll spans", tabindex: 0, role: "region", "aria-label": "Table of the bars" }),
        ),
        h(
          "div",
          { class: "row" },
          h("p", { class: "note", role: "status" }),
          save,
          h("a", { class: "playground", href: "/graphql" }, "Open in playground"),
        ),
        h("div", { class: "scroll list", tabindex: 0, role: "region", "aria-label": "Discards" }),
        h("div", { class: "row pages" }, newest, older),
      ),
    ];
  }

  get #filter() {
    const { reason, source } = shown.view;
    const range = /** @type {import("./chart.js").Chart} */ (this.chart).range;
    return { reason: reason || null, source: source || null, start: toISO(range.from), end: toISO(range.to) };
  }

  async #ask() {
    clearTimeout(this.#timer);
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const isAllowed = token.isAdmin;
    find(this, ".shown").hidden = !isAllowed;
    if (!isAllowed) {
      this.chart?.mark([]);
      return replace(find(this, ".advice"), needsToken("admin"));
    }
    try {
      await Promise.all([this.#askBuckets(signal), this.#askPage(signal)]);
      replace(find(this, ".advice"));
    } catch (error) {
      if (!signal.aborted) replace(find(this, ".advice"), adviseOn(error));
    }
    if (!signal.aborted && !document.hidden) this.#timer = setTimeout(() => this.#ask(), EVERY);
    return undefined;
  }

  /** @param {AbortSignal} signal */
  async #askBuckets(signal) {
    const { source, start, end } = this.#filter;
    const range = { from: fromISO(start), to: fromISO(end) };
    const variables = { source, start, end, interval: intervalOf(range, BUCKETS).name };
    this.#buckets = (await ask(DISCARD_BUCKETS, variables, signal)).discardBuckets;
    this.#asked = range;
    this.#drawBars();
    this.#showReasons();
    this.#mark();
    replace(find(this, ".spans"), tableOfDiscards(this.#buckets, shown.view.zone));
  }

  /** @param {AbortSignal} signal */
  async #askPage(signal) {
    const variables = { ...this.#filter, before: shown.view.before || null };
    const { discardsConnection: page } = await ask(DISCARDS, variables, signal);

    const discards = page.edges.map((/** @type {{ node: Discard }} */ { node }) => node).reverse();
    const filter = JSON.stringify([shown.view.reason, shown.view.source, shown.view.before, shown.view.zone]);
    const list = find(this, ".list");
    // Whoever reads a row by keyboard keeps it, until something else is asked for.
    if (filter !== this.#filtered || !list.contains(document.activeElement))
      replace(
        list,
        tableOf(discards, (id) => shown.change({ discard: id })),
      );
    this.#filtered = filter;
    const older = /** @type {HTMLButtonElement} */ (find(this, ".older"));
    older.disabled = !page.pageInfo.hasPreviousPage;
    older.onclick = () => shown.change({ before: page.pageInfo.startCursor });
    /** @type {HTMLButtonElement} */ (find(this, ".newest")).disabled = !shown.view.before;
    find(this, ".playground").setAttribute("href", playground(DISCARDS, variables));
    find(this, ".note").textContent = countOf(page.totalCount);
  }

  /** Counts of each reason are switches that filter. */
  #showReasons() {
    const chosen = shown.view.reason;
    const counts = new Map(ORDER.map((reason) => [reason, 0]));
    for (const { byReason } of this.#buckets)
      for (const { reason, count } of byReason) counts.set(reason, (counts.get(reason) ?? 0) + count);
    const buttons = [...counts].map(([reason, count]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(chosen === reason),
          "data-reason": reason,
          onclick: () => shown.change({ reason: shown.view.reason === reason ? "" : reason, before: "" }),
        },
        h("span", { class: "swatch", "data-reason": reason }),
        `${named(reason)} ${formatCount(count)}`,
      ),
    );
    const place = document.activeElement?.getAttribute("data-reason");
    replace(find(this, ".reasons"), ...buttons);
    /** @type {HTMLElement | null} */
    const focused = place ? this.querySelector(`button[data-reason="${place}"]`) : null;
    focused?.focus();
  }

  #drawBars() {
    const canvas = /** @type {HTMLCanvasElement} */ (find(this, "canvas"));
    const chart = this.chart;
    if (!chart?.plot || !this.#asked || find(this, ".shown").hidden) return;
    drawBars(canvas, this.#buckets, chart.range, chart.plot.inner, shown.view.reason);
  }

  /** Above the chart, in the middle of each bucket that holds some. */
  #mark() {
    const chosen = shown.view.reason;
    const marks = this.#buckets.flatMap(({ start, end, byReason }) =>
      byReason
        .filter(({ reason, count }) => count > 0 && (!chosen || reason === chosen))
        .map(({ reason }, place, all) => ({
          time: fromISO(start) + ((fromISO(end) - fromISO(start)) * (place + 1)) / (all.length + 1),
          colour: `--${reason}`,
        })),
    );
    this.chart?.mark(marks.slice(-MOST_MARKS));
  }

  async #export() {
    const note = find(this, ".note");
    try {
      await exportDiscards(this.#filter, (text) => (note.textContent = text));
    } catch (error) {
      replace(find(this, ".advice"), adviseOn(error));
    }
  }
}

/** @param {number | null} total */
function countOf(total) {
  if (total === 0) return "Nothing was discarded in this range, as it is filtered.";
  return total === null ? "More discards than can be counted in time" : `${formatCount(total)} discards in this range`;
}

customElements.define("dc-discards", Discards);
