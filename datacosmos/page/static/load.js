// Asks for what one series looks like over a range: points to draw, boxes from least to greatest, how many there are.

import { AskError, ask, get } from "./api.js";
import { Curve } from "./curve.js";
import { BUCKETS, CURVE, EXTENT, STORED_BUCKETS, STORED_CURVE, STORED_EXTENT } from "./queries.js";
import { fromISO, intervalOf, toISO } from "./ranges.js";

/** @typedef {import("./ranges.js").Range} Range */
/** @typedef {import("./curve.js").Point} Point */
/** @typedef {{ start: string, end: string, count: number, min: number | null, avg: number | null, max: number | null }} Bucket */
/** @typedef {{ points: Point[], sourceCount: number, exact: boolean }} Sampled */
/** @typedef {{ count: number } & Record<string, number | null>} Metrics */
/** @typedef {{ name: string, unit: string, curve: Curve, count: number, exact: boolean, buckets: Bucket[], newest: number | null, known: boolean, metrics: Metrics | null }} Loaded
 * `known`: whether the service has points of it at all; `newest`: when its newest point is. */

const STORED = "stored/";
const BUCKETS_WANTED = 200;
export const UNITS = new Map([["sensors", "°C"]]); // of sources whose readings have one

/** @param {string} name */
export function isStored(name) {
  return name.startsWith(STORED);
}

/** @param {string} name */
export function idOf(name) {
  return name.slice(STORED.length);
}

/** @param {string} id */
export function storedName(id) {
  return STORED + id;
}

/** The query behind a curve, and its variables. @param {string} name @param {Range} range @param {number} width */
export function curveQuery(name, range, width) {
  const variables = { start: toISO(range.from), end: toISO(range.to), width };
  return isStored(name)
    ? { query: STORED_CURVE, variables: { id: idOf(name), ...variables } }
    : { query: CURVE, variables: { series: name, ...variables } };
}

/**
 * @param {string} name
 * @param {Range} range
 * @param {number} width pixels
 * @param {AbortSignal} signal
 * @returns {Promise<Loaded>}
 */
export async function load(name, range, width, signal) {
  const { query, variables } = curveQuery(name, range, width);
  /** @type {Promise<any>} */
  const asked = ask(query, variables, signal);
  const interval = intervalOf(range, BUCKETS_WANTED);
  const [data, buckets] = await Promise.all([
    asked,
    interval.seconds < 60 ? [] : askBuckets(name, range, interval.name, signal),
  ]);
  const loaded = isStored(name) ? ofStored(data) : ofReadings(name, data);
  const span = loaded.sampled.exact ? 0 : (range.to - range.from) / width;
  const { sampled, ...rest } = loaded;
  return { ...rest, curve: new Curve(sampled.points, span), count: sampled.sourceCount, exact: sampled.exact, buckets };
}

/** @param {string} name @param {{ sampled: Sampled, series: { source: string, last: Point | null } | null }} data */
function ofReadings(name, { sampled, series }) {
  const newest = series?.last ? fromISO(series.last.time) : null;
  return { name, unit: UNITS.get(series?.source ?? "") ?? "", sampled, newest, known: series !== null, metrics: null };
}

/** @param {{ storedSeries: { name: string | null, unit: string, end: string | null, sampled: Sampled, metrics: Metrics } | null }} data */
function ofStored({ storedSeries: found }) {
  if (found === null) throw new AskError("there is no such stored series, or it is another's", "UNKNOWN_SERIES");
  return { ...found, name: found.name ?? "(no name)", newest: found.end ? fromISO(found.end) : null, known: true };
}

/** @param {string} name @param {Range} range @param {string} interval @param {AbortSignal} signal @returns {Promise<Bucket[]>} */
async function askBuckets(name, range, interval, signal) {
  const variables = { start: toISO(range.from), end: toISO(range.to), interval };
  if (!isStored(name)) return (await ask(BUCKETS, { series: name, ...variables }, signal)).buckets;
  return (await ask(STORED_BUCKETS, { id: idOf(name), ...variables }, signal)).storedSeries?.buckets ?? [];
}

/** Each bucket that has points, from its least to its greatest. @param {Bucket[]} buckets @returns {import("./plot.js").Box[]} */
export function boxesOf(buckets) {
  return buckets.flatMap(({ start, end, min, max }) =>
    min === null || max === null ? [] : [{ from: fromISO(start), to: fromISO(end), min, max }],
  );
}

/** From a series' first point to its last; null where it has none. @param {string} name @param {AbortSignal} signal @returns {Promise<Range | null>} */
export async function extent(name, signal) {
  const { first, last } = isStored(name)
    ? await ask(STORED_EXTENT, { id: idOf(name) }, signal).then(({ storedSeries: found }) => ({
        first: found?.start,
        last: found?.end,
      }))
    : await ask(EXTENT, { series: name }, signal).then(({ series: found }) => ({
        first: found?.first,
        last: found?.last?.time,
      }));
  return first && last ? { from: fromISO(first), to: fromISO(last) } : null;
}

/**
 * What a stored series may come to.
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<import("./plot.js").Ahead>}
 */
export async function forecast(name, signal) {
  const response = await get(`/series/${idOf(name)}/forecast?horizon=24&level=80&level=95`, { signal });
  /** @type {{ points: { t: number, v: number, intervals: { low: number, high: number }[] }[] }} */
  const { points } = await response.json();
  const intervals = (points[0]?.intervals ?? []).map((_, place) => ({
    low: points.map((point) => point.intervals[place]?.low ?? point.v),
    high: points.map((point) => point.intervals[place]?.high ?? point.v),
  }));
  return { times: points.map(({ t }) => t), mean: points.map(({ v }) => v), intervals };
}
