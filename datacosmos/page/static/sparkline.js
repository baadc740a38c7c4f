// A line as small as a word.

const WIDTH = 72;
const HEIGHT = 24;
const SVG = "http://www.w3.org/2000/svg";

/** @param {(number | null)[]} values nulls are gaps */
export function sparkline(values) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", shape(values));
  svg.append(path);
  return svg;
}

/** @param {(number | null)[]} values */
function shape(values) {
  const known = values.filter((value) => value !== null);
  const [least, greatest] = [Math.min(...known), Math.max(...known)];
  const height = greatest - least || 1;
  const width = Math.max(1, values.length - 1);
  let isDrawing = false;
  return values
    .map((value, place) => {
      const command = value === null ? "" : isDrawing ? "L" : "M";
      isDrawing = value !== null;
      if (value === null) return "";
      const y = HEIGHT - 2 - ((value - least) / height) * (HEIGHT - 4);
      return `${command}${((place / width) * WIDTH).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}
