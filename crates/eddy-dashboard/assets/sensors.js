// Which sensors are looked at, which column, and what else is filtered.

import { data, onAnswer, onStatus } from "./data.js";
import { $, make } from "./format.js";
import { go, onState, state } from "./state.js";

/** Looks at one sensor; with `add` at it as well, or no longer. */
export function choose(name, add = false) {
  if (!add) return go({ sensor: state.sensor.length === 1 && state.sensor[0] === name ? [] : [name] });
  const without = state.sensor.filter((one) => one !== name);
  go({ sensor: without.length < state.sensor.length ? without : [...state.sensor, name] });
}

/** A value as the filter's language has it. */
const quoted = (value) => (typeof value === "string" ? `"${value}"` : String(value));

/** Whether a filter needs no parentheses before AND: clauses side by side are joined by OR. */
const isChain = (q) => q.replace(/"(\\.|[^"\\])*"/g, '""').split(" AND ").every((clause) => !/[\s()]/.test(clause.replace(/^NOT /, "")));

/** Adds a clause to the filter that must hold too, or one that leaves the value out. */
export function narrow(field, value, leaves_out) {
  const clause = `${leaves_out ? "NOT " : ""}${field}:${quoted(value)}`;
  go({ q: state.q ? `${isChain(state.q) ? state.q : `(${state.q})`} AND ${clause}` : clause });
}

function chips() {
  $("chosen").replaceChildren(...state.sensor.map((name) => {
    const chip = make("button", { type: "button", className: "chip", "aria-label": `No longer ${name || "records without a name"}` }, make("span", {}, name || "(none)"), " ×");
    chip.addEventListener("click", () => choose(name, true));
    return chip;
  }));
  $("sensor").placeholder = state.sensor.length ? "add" : "all";
}

function columns() {
  const { columns } = data.status, shown = state.column || columns[0] || "";
  const names = state.column && !columns.includes(state.column) ? [...columns, state.column] : columns;
  if ([...$("column").options].map((it) => it.value).join("\n") !== names.join("\n")) {
    $("column").replaceChildren(...names.map((name) => new Option(name, name)));
  }
  $("column").value = shown;
  $("columns").hidden = names.length < 2;
  $("pick").hidden = data.status.key === null;
  $("h-column").textContent = shown ? `of ${shown}` : "";
}

function wrong() {
  const text = data.error === "connection" ? "" : data.error;
  $("filter-wrong").hidden = !text;
  $("filter-wrong").textContent = text;
}

export function start() {
  let offered = "";
  const take = () => {
    const name = $("sensor").value;
    if (name && !state.sensor.includes(name)) go({ sensor: [...state.sensor, name] });
    $("sensor").value = "";
  };
  $("sensor").addEventListener("change", take);
  $("filter").addEventListener("change", () => go({ q: $("filter").value.trim() }));
  $("column").addEventListener("change", () => go({ column: $("column").value }));
  $("bar").addEventListener("submit", (event) => event.preventDefault());
  $("bar").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === $("filter")) go({ q: $("filter").value.trim() });
  });
  onState(({ changed }) => {
    chips();
    columns();
    if (changed.includes("q")) $("filter").value = state.q;
  });
  onStatus(columns);
  onAnswer(() => {
    wrong();
    const names = (data.answer?.heat.rows ?? []).map((row) => row.name).filter(Boolean).sort();
    if (names.join("\n") === offered) return;
    offered = names.join("\n");
    $("sensors").replaceChildren(...names.map((name) => make("option", { value: name })));
  });
  chips();
  $("filter").value = state.q;
}
