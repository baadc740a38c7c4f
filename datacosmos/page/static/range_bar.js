// Chooses the range: presets, a beginning and an end, live or not.

import { find, h } from "./elements.js";
import { fromField, PRESETS, toField, toISO } from "./ranges.js";
import { shown } from "./view.js";

/** @typedef {import("./chart.js").Chart} Chart */

export class RangeBar extends HTMLElement {
  /** @param {Chart} chart */
  follow(chart) {
    const presets = [...PRESETS].map(([name, { label }]) =>
      h(
        "button",
        {
          type: "button",
          "data-range": name,
          onclick: () => shown.change({ range: name, start: "", end: "", live: true }),
        },
        label,
      ),
    );
    const live = h(
      "button",
      { type: "button", class: "live", onclick: () => this.#toggle() },
      h("span", { class: "dot" }),
      "Live",
    );
    this.append(
      h("div", { class: "presets", role: "group", "aria-label": "Range" }, ...presets),
      live,
      this.#custom(chart),
      h("span", { class: "away", role: "status" }),
    );
    shown.watch(["range", "live", "start", "end"], (view) => {
      for (const button of presets) button.setAttribute("aria-pressed", String(view.range === button.dataset["range"]));
      live.setAttribute("aria-pressed", String(view.live));
      find(this, "summary").classList.toggle("chosen", view.range === "");
    });
    chart.addEventListener("live", (event) => this.#tell(/** @type {CustomEvent<string>} */ (event).detail));
  }

  /** @param {string} fault */
  #tell(fault) {
    find(this, ".live").classList.toggle("is-away", fault !== "");
    const away = find(this, ".away");
    away.title = away.textContent =
      fault && `The live feed is unavailable (${fault}): trying again, nothing is missed.`;
  }

  #toggle() {
    const { live, range } = shown.view;
    shown.change(live ? { live: false } : { live: true, range: range || "15m", start: "", end: "" });
  }

  /** @param {Chart} chart */
  #custom(chart) {
    const [from, to] = [field("From"), field("To")];
    const form = h(
      "form",
      { class: "custom" },
      from.label,
      to.label,
      h("button", {}, "Show"),
      h("p", { class: "fault", role: "alert" }),
    );
    const details = h("details", { class: "picker" }, h("summary", {}, "Custom"), form);
    details.addEventListener("toggle", () => {
      if (!details.open) return;
      from.input.value = toField(chart.range.from, shown.view.zone);
      to.input.value = toField(chart.range.to, shown.view.zone);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [start, end] = [from, to].map(({ input }) => fromField(input.value, shown.view.zone));
      const isRange = start !== undefined && end !== undefined && start < end;
      find(form, ".fault").textContent = isRange ? "" : "From must be before To.";
      if (!isRange) return;
      details.open = false;
      shown.change({ range: "", start: toISO(start), end: toISO(end), live: false });
    });
    details.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      details.open = false;
      find(details, "summary").focus();
    });
    return details;
  }
}

/** @param {string} name */
function field(name) {
  const input = h("input", { type: "datetime-local", step: "1", required: true });
  return { input, label: h("label", {}, name, input) };
}

customElements.define("dc-range", RangeBar);
