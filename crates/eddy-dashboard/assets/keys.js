// What can be done by keys.

import { $, make } from "./format.js";
import { go, state } from "./state.js";
import { move, pause, toggle, zoom } from "./time.js";

const KEYS = [
  ["1", "Readings", () => go({ view: "readings" })],
  ["2", "Pipeline", () => go({ view: "pipeline" })],
  ["3", "SQL, where there is an application", () => { if (!document.querySelector('[data-view="sql"]').hidden) go({ view: "sql" }); }],
  ["p", "Pause, or follow again", pause],
  ["t", "Choose the time", () => toggle()],
  ["[", "Earlier", () => move(-0.5)],
  ["]", "Later", () => move(0.5)],
  ["+", "Half the time", () => zoom(0.5)],
  ["-", "Twice the time", () => zoom(2)],
  ["/", "Filter", () => $("filter").focus()],
  ["s", "Choose a sensor", () => $("sensor").focus()],
  ["x", "All sensors, no filter", () => go({ sensor: [], q: "" })],
  ["Esc", "Close the opened record", () => go({ row: "" })],
  ["?", "These keys", () => $("keys").showModal()],
];

export function start() {
  $("key-list").replaceChildren(...KEYS.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]));
  $("key-list").append(make("dt", {}, make("kbd", {}, "↑ ↓")), make("dd", {}, "From record to record, from sensor to sensor; Enter opens"));
  $("help").addEventListener("click", () => $("keys").showModal());
  // In the chart arrows move the time.
  $("readings").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: () => move(-0.25), ArrowRight: () => move(0.25), ArrowUp: () => zoom(0.5), ArrowDown: () => zoom(2) }[event.key];
    if (!by) return;
    event.preventDefault();
    by();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    if (event.target.matches?.("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const found = KEYS.find(([key]) => key === event.key || (key === "Esc" && event.key === "Escape") || (key === "+" && event.key === "="));
    if (!found) return;
    if (found[0] === "Esc" && !state.row) return;
    event.preventDefault();
    found[2]();
  });
}
