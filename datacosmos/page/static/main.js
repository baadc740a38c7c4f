// Puts the page together.

import "./token_field.js";
import { find } from "./elements.js";
import { shown } from "./view.js";

const chart = /** @type {import("./chart.js").Chart} */ (find(document, "dc-chart"));
/** @type {import("./range_bar.js").RangeBar} */ (find(document, "dc-range")).follow(chart);
/** @type {import("./legend.js").Legend} */ (find(document, "dc-legend")).follow(chart);
/** @type {import("./discards.js").Discards} */ (find(document, "dc-discards")).follow(chart);

const theme = find(document, "#theme");
const zone = find(document, "#zone");
const system = matchMedia("(prefers-color-scheme: dark)");

shown.watch(["theme", "zone"], (view) => {
  document.documentElement.dataset["theme"] = view.theme;
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  zone.textContent = view.zone === "utc" ? "UTC" : "Local time";
});
theme.addEventListener("click", () => shown.change({ theme: isDark() ? "light" : "dark" }, { replace: true }));
zone.addEventListener("click", () => shown.change({ zone: shown.view.zone === "utc" ? "local" : "utc" }));

function isDark() {
  return shown.view.theme ? shown.view.theme === "dark" : system.matches;
}
