// What a pointer, a wheel, two fingers and keys ask of a chart.

import { moved, zoomed } from "./ranges.js";

/** @typedef {import("./ranges.js").Range} Range */
/** @typedef {{ range: () => Range, at: (clientX: number) => number, zoom: (range: Range) => void, back: () => void }} Asked
 * `at` is the time that is drawn at a place of the window. */

/** @param {HTMLElement} area @param {Asked} asked */
export function listenToPointers(area, asked) {
  /** @type {Map<number, number>} */
  const fingers = new Map();
  area.style.touchAction = "pan-y";
  area.addEventListener("wheel", (event) => wheel(event, asked), { passive: false });
  area.addEventListener("dblclick", asked.back);
  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, event.clientX);
  });
  area.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = spread(fingers.values(), asked);
    fingers.set(event.pointerId, event.clientX);
    asked.zoom(stretched(asked.range(), before, spread(fingers.values(), asked)));
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"])
    area.addEventListener(end, (event) => fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
}

/** @param {WheelEvent} event @param {Asked} asked */
function wheel(event, asked) {
  if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaY) < Math.abs(event.deltaX) * 2) return;
  event.preventDefault();
  if (event.shiftKey) asked.zoom(moved(asked.range(), Math.sign(event.deltaY || event.deltaX) * 0.1));
  else
    asked.zoom(
      zoomed(
        asked.range(),
        1.002 ** Math.max(-200, Math.min(200, event.deltaY * (event.deltaMode ? 20 : 1))),
        asked.at(event.clientX),
      ),
    );
}

/** The times under the outermost fingers. @param {Iterable<number>} places @param {Asked} asked @returns {[number, number]} */
function spread(places, asked) {
  const all = [...places];
  return [asked.at(Math.min(...all)), asked.at(Math.max(...all))];
}

/**
 * The range in which what was under the fingers is under them still.
 * @param {Range} range
 * @param {[number, number]} before
 * @param {[number, number]} now
 */
function stretched(range, before, now) {
  const factor = before[1] > before[0] && now[1] > now[0] ? (before[1] - before[0]) / (now[1] - now[0]) : 1;
  const kept = zoomed(range, Math.max(0.5, Math.min(2, factor)), before[0]);
  const by = before[0] - now[0];
  return { from: kept.from + by, to: kept.to + by };
}

/** @param {KeyboardEvent} event @param {Asked} asked */
export function listenToKeys(event, asked) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const range = asked.range();
  const middle = (range.from + range.to) / 2;
  const step = event.shiftKey ? 0.5 : 0.1;
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => asked.zoom(moved(range, -step)),
    ArrowRight: () => asked.zoom(moved(range, step)),
    ArrowUp: () => asked.zoom(zoomed(range, 1 / 1.5, middle)),
    ArrowDown: () => asked.zoom(zoomed(range, 1.5, middle)),
    "+": () => asked.zoom(zoomed(range, 1 / 1.5, middle)),
    "-": () => asked.zoom(zoomed(range, 1.5, middle)),
    Backspace: asked.back,
    Home: asked.back,
  };
  const act = keys[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
}
