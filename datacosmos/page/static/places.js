// Finds points of lines that share one column of times: where a line has none at a time it is undefined, in a gap null.

/** The place of a line's point that is nearest to the cursor. @param {import("uplot")} uplot @param {number} line @param {number} index @param {number} time */
export function nearest(uplot, line, index, time) {
  const [xs, ys] = [uplot.data[0], uplot.data[line] ?? []];
  if (line === 0 || (ys[index] !== null && ys[index] !== undefined)) return index;
  let [left, right] = [index, index];
  while (left >= 0 && ys[left] === undefined) left--;
  while (right < xs.length && ys[right] === undefined) right++;
  const [before, behind] = [
    time - (xs[left] ?? Number.NEGATIVE_INFINITY),
    (xs[right] ?? Number.POSITIVE_INFINITY) - time,
  ];
  return before < behind ? left : right;
}

/** The places of points between two gaps, which no line shows. @param {import("uplot")} uplot @param {number} line */
export function alone(uplot, line) {
  const ys = uplot.data[line] ?? [];
  const found = [];
  let [before, place] = [true, -1]; // whether a gap lies before, and of a point behind it
  ys.forEach((y, index) => {
    if (y === undefined) return;
    if (y === null) {
      if (place >= 0) found.push(place);
      [before, place] = [true, -1];
    } else [before, place] = [false, before ? index : -1];
  });
  if (place >= 0) found.push(place);
  return found;
}
