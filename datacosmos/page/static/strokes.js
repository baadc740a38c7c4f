// What is drawn beside the lines: bands, forecasts, marks and the newest points.

/** @param {import("uplot")} uplot @param {string} scale @param {import("./plot.js").Box} box */
export function fillBox(uplot, scale, { from, to, min, max }) {
  const [left, right] = [uplot.valToPos(from, "x", true), uplot.valToPos(to, "x", true)];
  const [top, bottom] = [uplot.valToPos(max, scale, true), uplot.valToPos(min, scale, true)];
  uplot.ctx.fillRect(left, top, right - left, Math.max(1, bottom - top));
}

/** @param {import("uplot")} uplot @param {string} scale @param {import("./plot.js").Ahead} ahead */
export function drawAhead(uplot, scale, { times, mean, intervals }) {
  const { ctx } = uplot;
  const xs = times.map((time) => uplot.valToPos(time, "x", true));
  /** @param {number[]} values */
  const ys = (values) => values.map((value) => uplot.valToPos(value, scale, true));
  for (const { low, high } of intervals) {
    const [lows, highs] = [ys(low), ys(high)];
    ctx.beginPath();
    through(ctx, xs, highs);
    through(ctx, xs.toReversed(), lows.toReversed());
    ctx.fill();
  }
  const middle = ys(mean);
  ctx.globalAlpha = 1;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  through(ctx, xs, middle);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} ctx @param {number[]} xs @param {number[]} ys */
function through(ctx, xs, ys) {
  for (const [place, x] of xs.entries()) ctx.lineTo(x, /** @type {number} */ (ys[place]));
}

/** A mark above the lines at its time. @param {import("uplot")} uplot @param {number} time */
export function mark({ ctx, bbox, valToPos }, time) {
  const ratio = devicePixelRatio;
  const x = valToPos(time, "x", true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.fillRect(Math.round(x - ratio), bbox.top - 13 * ratio, 2 * ratio, 9 * ratio);
}

/** @param {import("uplot")} uplot @param {string} scale @param {number} time @param {number} value */
export function point({ ctx, valToPos }, scale, time, value) {
  ctx.beginPath();
  ctx.arc(valToPos(time, "x", true), valToPos(value, scale, true), 3.5 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
}
