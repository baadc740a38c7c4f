// Draws lines through points with uPlot, bands behind them, and marks above.

import { coloursAt } from "./elements.js";
import { formatAxis, formatTicks } from "./formats.js";
import { listenToPointers } from "./gestures.js";
import { alone, nearest } from "./places.js";
import { drawAhead, fillBox, mark, point } from "./strokes.js";

/** @typedef {import("./ranges.js").Range} Range */
/** @typedef {import("./formats.js").Zone} Zone */
/** @typedef {{ from: number, to: number, min: number, max: number }} Box */
/** @typedef {{ times: number[], mean: number[], intervals: { low: number[], high: number[] }[] }} Ahead a forecast */
/** @typedef {{ colour: string, unit: string, hidden: boolean, columns: [number[], (number | null)[]], boxes: Box[], ahead: Ahead | null }} Line
 * `colour` is the name of a custom property of the style sheet. */
/** @typedef {{ time: number, colour: string }} Mark */
/** @typedef {{ zone: Zone, range: Range, lines: Line[], marks: Mark[], live: boolean }} Drawing */
/** @typedef {{ zoom: (range: Range) => void, back: () => void, cursor: (time: number | null, values: (number | null)[]) => void }} Asked */

const FONT = "12px system-ui, sans-serif";
const RIGHT = 14;
const TOP = 16;

export class Plot {
  /** @type {import("uplot") | null} */
  uplot = null;
  /** @type {Drawing | null} */
  #drawing = null;
  #made = "";

  /** @param {HTMLElement} holder @param {Asked} asked */
  constructor(holder, asked) {
    this.holder = holder;
    this.asked = asked;
    new ResizeObserver(() => this.#fit()).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** In other colours, for example. */
  redraw() {
    this.#made = "";
    if (this.#drawing) this.draw(this.#drawing);
  }

  /** @param {Drawing} drawing */
  draw(drawing) {
    this.#drawing = drawing;
    const made = JSON.stringify([drawing.zone, drawing.lines.map(({ colour, unit }) => [colour, unit])]);
    if (made !== this.#made || this.uplot === null) this.#make(made, drawing);
    const uplot = /** @type {import("uplot")} */ (this.uplot);
    const columns = drawing.lines.map(({ columns }) => columns);
    const data =
      columns.length > 1
        ? uPlot.join(
            /** @type {any} */ (columns),
            columns.map(() => [0, 2]),
          )
        : (columns[0] ?? [[]]);
    uplot.batch(() => {
      uplot.setData(/** @type {any} */ (data), false);
      drawing.lines.forEach(({ hidden }, place) => {
        if (uplot.series[place + 1]?.show === hidden) uplot.setSeries(place + 1, { show: !hidden });
      });
      uplot.setScale("x", { min: drawing.range.from, max: drawing.range.to });
    });
  }

  /** Where the plotted range lies within the holder, in CSS pixels. */
  get inner() {
    const box = this.uplot?.bbox;
    const ratio = devicePixelRatio;
    return box?.width
      ? { left: box.left / ratio, width: box.width / ratio }
      : { left: 56, width: Math.max(50, this.holder.clientWidth - 56 - RIGHT) };
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.holder;
    if (this.uplot && width && (this.uplot.width !== width || this.uplot.height !== height))
      this.uplot.setSize({ width, height });
  }

  /** @param {string} made @param {Drawing} drawing */
  #make(made, drawing) {
    this.uplot?.destroy();
    this.#made = made;
    const colour = coloursAt(this.holder);
    const uplot = new uPlot(this.#options(drawing, colour), [[]], this.holder);
    this.uplot = uplot;
    const { left } = { left: () => uplot.over.getBoundingClientRect().left };
    listenToPointers(uplot.over, {
      range: () => this.#drawing?.range ?? drawing.range,
      at: (clientX) => uplot.posToVal(clientX - left(), "x"),
      zoom: this.asked.zoom,
      back: this.asked.back,
    });
  }

  /**
   * @param {Drawing} drawing
   * @param {(name: string) => string} colour
   * @returns {import("uplot").Options}
   */
  #options({ zone, lines }, colour) {
    const units = [...new Set(lines.map(({ unit }) => unit))];
    const grid = { stroke: colour("--grid"), width: 1 };
    const ticks = { ...grid, size: 5 };
    return {
      width: this.holder.clientWidth || 600,
      height: this.holder.clientHeight || 300,
      padding: [TOP, units.length > 1 ? 4 : RIGHT, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => (zone === "utc" ? uPlot.tzDate(new Date(seconds * 1e3), "UTC") : new Date(seconds * 1e3)),
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        bind: { dblclick: () => null },
        dataIdx: (uplot, place, index, time) => nearest(uplot, place, index, time),
        points: { size: 8, width: 2 },
      },
      scales: Object.fromEntries([
        ["x", { time: true, auto: false }],
        ...units.map((unit) => [
          `y${unit}`,
          {
            range: (/** @type {unknown} */ _, /** @type {number | null} */ min, /** @type {number | null} */ max) =>
              padded(...this.#withAhead(unit, min, max)),
          },
        ]),
      ]),
      series: [{}, ...lines.map((line) => this.#series(line, colour(line.colour)))],
      axes: [
        {
          stroke: colour("--faint"),
          font: FONT,
          size: 44,
          space: 80,
          grid,
          ticks,
          values: (_, splits, __, ___, step) => formatTicks(splits, step, zone),
        },
        ...(units.length ? units : [""]).slice(0, 2).map((unit, place) => ({
          scale: units.length ? `y${unit}` : "y",
          side: /** @type {1 | 3} */ (place ? 1 : 3),
          stroke: colour(axisColour(lines, unit)),
          font: FONT,
          size: 56,
          grid: { ...grid, show: place === 0 },
          ticks,
          values: (
            /** @type {unknown} */ _,
            /** @type {number[]} */ splits,
            /** @type {number} */ __,
            /** @type {number} */ ___,
            /** @type {number} */ step,
          ) => formatAxis(splits, step),
        })),
      ],
      hooks: {
        setSelect: [(uplot) => this.#select(uplot)],
        setCursor: [(uplot) => this.#tellCursor(uplot)],
        drawClear: [(uplot) => this.#drawBehind(uplot, colour)],
        draw: [(uplot) => this.#drawAbove(uplot, colour)],
      },
    };
  }

  /** The extremes of a unit's lines, with those of their forecasts. @param {string} unit @param {number | null} min @param {number | null} max @returns {[number | null, number | null]} */
  #withAhead(unit, min, max) {
    const ahead = (this.#drawing?.lines ?? []).filter((line) => line.ahead && line.unit === unit && !line.hidden);
    const values = ahead.flatMap(({ ahead }) => ahead?.intervals.flatMap(({ low, high }) => [...low, ...high]) ?? []);
    if (values.length === 0) return [min, max];
    return [Math.min(min ?? Number.POSITIVE_INFINITY, ...values), Math.max(max ?? Number.NEGATIVE_INFINITY, ...values)];
  }

  /** @param {Line} line @param {string} stroke @returns {import("uplot").Series} */
  #series({ unit }, stroke) {
    return {
      scale: `y${unit}`,
      stroke,
      width: 1.5,
      spanGaps: false,
      points: {
        filter: (uplot, place, shown) => (shown ? null : alone(uplot, place)),
        size: 4,
        fill: stroke,
        width: 0,
      },
    };
  }

  /** @param {import("uplot")} uplot */
  #select(uplot) {
    const { left, width } = uplot.select;
    if (width < 4) return;
    uplot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.asked.zoom({ from: uplot.posToVal(left, "x"), to: uplot.posToVal(left + width, "x") });
  }

  /** @param {import("uplot")} uplot */
  #tellCursor(uplot) {
    const { left = -1, idxs = [] } = uplot.cursor;
    if (left < 0) return this.asked.cursor(null, []);
    const values = uplot.series.slice(1).map((_, place) => {
      const index = idxs[place + 1];
      return index === null || index === undefined ? null : (uplot.data[place + 1]?.[index] ?? null);
    });
    return this.asked.cursor(uplot.posToVal(left, "x"), values);
  }

  /** Bands from least to greatest, and forecasts. @param {import("uplot")} uplot @param {(name: string) => string} colour */
  #drawBehind(uplot, colour) {
    const { ctx, bbox } = uplot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const line of this.#drawing?.lines ?? []) {
      if (line.hidden) continue;
      ctx.fillStyle = ctx.strokeStyle = colour(line.colour);
      ctx.globalAlpha = 0.22;
      for (const box of line.boxes) fillBox(uplot, `y${line.unit}`, box);
      if (line.ahead) drawAhead(uplot, `y${line.unit}`, line.ahead);
    }
    ctx.restore();
  }

  /** Marks, and where a live line has come to. @param {import("uplot")} uplot @param {(name: string) => string} colour */
  #drawAbove(uplot, colour) {
    const { ctx } = uplot;
    ctx.save();
    for (const { time, colour: name } of this.#drawing?.marks ?? []) {
      ctx.fillStyle = colour(name);
      mark(uplot, time);
    }
    const last = uplot.scales["x"]?.max ?? 0;
    for (const { hidden, columns, colour: name, unit } of (this.#drawing?.live && this.#drawing.lines) || []) {
      const [time, value] = [columns[0].at(-1) ?? Number.POSITIVE_INFINITY, columns[1].at(-1) ?? null];
      if (hidden || value === null || time > last) continue;
      ctx.fillStyle = colour(name);
      point(uplot, `y${unit}`, time, value);
    }
    ctx.restore();
  }
}

/** That of the line whose values it has, where others have another axis. @param {Line[]} lines @param {string} unit */
function axisColour(lines, unit) {
  const own = lines.filter((line) => line.unit === unit);
  return own.length === 1 && lines.length > 1 && own[0] ? own[0].colour : "--faint";
}

/** @param {number | null} min @param {number | null} max @returns {[number, number]} */
function padded(min, max) {
  if (min === null || max === null) return [0, 1];
  const room = max > min ? (max - min) * 0.08 : Math.abs(max) * 0.1 || 1;
  return [min - room, max + room];
}
