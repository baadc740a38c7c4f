// The points of one series that are drawn, by time: as they were asked for, and as they come.

import { fromISO } from "./ranges.js";

/** @typedef {{ id?: string, time: string, value: number }} Point */
/** @typedef {{ from: number, to: number }} Gap */

const TINY = 1e-6; // seconds by which points of one time stand apart, so that all of them are drawn

export class Curve {
  /** @type {number[]} */
  times = [];
  /** @type {number[]} */
  values = [];
  /** @type {Set<string>} */
  #ids = new Set();

  /**
   * @param {Point[]} points by time
   * @param {number} span seconds of which each holds no more than four of them; 0 where all are there
   */
  constructor(points, span) {
    for (const point of points) this.#push(this.times.length, point);
    this.longest = Math.max(usualLongest(this.times), span * 2.5);
  }

  /** Whether it remembers far more than it holds, and is better asked for anew. */
  get isStale() {
    return this.#ids.size > 2 * this.times.length + 10_000;
  }

  /** How many there are of a range. @param {import("./ranges.js").Range} range */
  countIn({ from, to }) {
    return after(this.times, to) - after(this.times, from - TINY);
  }

  get last() {
    const value = this.values.at(-1);
    const time = this.times.at(-1);
    return value === undefined || time === undefined ? null : { time, value };
  }

  /**
   * Points as they come, late ones too; those that are there already change nothing.
   * @param {Point[]} points
   * @returns {number} how many were new
   */
  add(points) {
    const before = this.times.length;
    for (const point of points)
      if (!point.id || !this.#ids.has(point.id)) this.#push(after(this.times, fromISO(point.time)), point);
    return this.times.length - before;
  }

  /** @param {number} time Points before it are no longer of interest. */
  forget(time) {
    const count = Math.max(0, after(this.times, time) - 1);
    if (count < 500) return;
    this.times.splice(0, count);
    this.values.splice(0, count);
  }

  /**
   * @param {number} place
   * @param {Point} point
   */
  #push(place, { id, time, value }) {
    if (id) this.#ids.add(id);
    this.times.splice(place, 0, fromISO(time));
    this.values.splice(place, 0, value);
  }

  /** @param {number} from @param {number} to @returns {Gap[]} where there is no point for much longer than usual */
  gaps(from, to) {
    const found = [];
    for (let place = 1; place < this.times.length; place++) {
      const [begin, end] = [/** @type {number} */ (this.times[place - 1]), /** @type {number} */ (this.times[place])];
      if (end - begin > this.longest && end > from && begin < to) found.push({ from: begin, to: end });
    }
    return found;
  }

  /** Times and values to draw, with a null within each gap. @returns {[number[], (number | null)[]]} */
  columns() {
    /** @type {number[]} */
    const xs = [];
    /** @type {(number | null)[]} */
    const ys = [];
    let before = Number.NEGATIVE_INFINITY;
    this.times.forEach((time, place) => {
      if (time - before > this.longest && place > 0) {
        xs.push((before + time) / 2);
        ys.push(null);
      }
      before = time > before ? time : before + TINY;
      xs.push(before);
      ys.push(this.values[place] ?? null);
    });
    return [xs, ys];
  }
}

/** The place behind all that are not later. @param {number[]} times @param {number} time */
function after(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (times[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The longest that still is no gap: what lies far beyond most of the times from one point to the next.
 * @param {number[]} times
 */
function usualLongest(times) {
  const steps = times
    .slice(1)
    .map((time, place) => time - /** @type {number} */ (times[place]))
    .filter((step) => step > 0);
  steps.sort((one, other) => one - other);
  const [median, most] = [steps[steps.length >> 1], steps[Math.floor(steps.length * 0.95)]];
  return median === undefined || most === undefined ? Number.POSITIVE_INFINITY : Math.max(6 * median, 3 * most);
}
