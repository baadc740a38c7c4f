// Follows the feeds of the series that are drawn, and remembers what has just come.

import { Feed } from "./feed.js";

/** @typedef {import("./curve.js").Point} Point */
/** @typedef {{ onPoints: (name: string, points: Point[]) => void, onFresh: () => void, onState: () => void }} Listener */

const REMEMBERED = 60_000; // ms, longer than any answer takes

export class Live {
  /** @type {Map<string, Feed>} */
  #feeds = new Map();
  /** @type {Map<string, string>} */
  #faults = new Map();
  /** @type {{ name: string, at: number, point: Point }[]} */
  #recent = [];

  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
  }

  get isFollowing() {
    return this.#feeds.size > 0;
  }

  /** Why one of the feeds is unavailable; "" where none is. */
  get fault() {
    return [...this.#faults.values()].find((fault) => fault !== "") ?? "";
  }

  /** Follows these series and no others. @param {string[]} names */
  follow(names) {
    for (const [name, feed] of this.#feeds) {
      if (names.includes(name)) continue;
      feed.stop();
      this.#feeds.delete(name);
      this.#faults.delete(name);
    }
    for (const name of names) if (!this.#feeds.has(name)) this.#feeds.set(name, this.#open(name));
  }

  /** @param {string} name */
  #open(name) {
    return new Feed({
      series: name,
      onChanges: (events) => this.#take(name, events),
      onFresh: () => this.listener.onFresh(),
      onState: (fault) => {
        if (this.#faults.get(name) === fault) return;
        this.#faults.set(name, fault);
        this.listener.onState();
      },
    });
  }

  /** @param {string} name @param {import("./feed.js").Change[]} events */
  #take(name, events) {
    this.#remember();
    const withdrawn = new Set(events.flatMap(({ kind, point }) => (kind === "WITHDRAWN" ? [point?.id] : [])));
    if (withdrawn.size > 0) {
      this.#recent = this.#recent.filter(({ point }) => !withdrawn.has(point.id));
      this.listener.onFresh();
    }
    const points = events.flatMap(({ point }) => (point && !withdrawn.has(point.id) ? [point] : []));
    if (points.length === 0) return;
    for (const point of points) this.#recent.push({ name, at: performance.now(), point });
    this.listener.onPoints(name, points);
  }

  /** Forgets what is in every answer that is asked for from now on. */
  #remember() {
    const oldest = performance.now() - REMEMBERED;
    this.#recent = this.#recent.filter(({ at }) => at >= oldest);
  }

  /** Points that an answer under way may not hold yet. @param {string} name */
  recent(name) {
    this.#remember();
    return this.#recent.filter((entry) => entry.name === name).map(({ point }) => point);
  }
}
