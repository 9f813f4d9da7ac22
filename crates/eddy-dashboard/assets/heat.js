// Sensors by time, coloured by their highest score. Any number of them: only the rows in sight exist.

import { data, onAnswer } from "./data.js";
import { $, count, css, make, RANGES, toDay, toFull, toMark } from "./format.js";
import { choose } from "./sensors.js";
import { onState, state } from "./state.js";

const ROW = 22, PAGE = 500, MAX_KEPT = 4_000;
let heat = null, rows = new Map(), fetching = false, colours = [], shownTop = -1;
const body = make("div", { className: "heat-body" }), axis = make("div", { className: "heat-axis", "aria-hidden": "true" }), scroll = make("div", { className: "heat-scroll" }, body);

/** An answer's rows by their places in the order. */
const pageOf = ({ first, rows }) => new Map(rows.map((row, i) => [first + i, row]));

function take() {
  const before = heat;
  heat = data.answer?.heat ?? null;
  if (!heat) return;
  rows = pageOf(heat);
  body.style.height = `${Math.max(heat.n_sensors, 1) * ROW}px`;
  const n = heat.n_sensors;
  $("heat-note").textContent = n ? `${count(n)} sensor${n === 1 ? "" : "s"}; the highest first` : "";
  const what = data.status.key ?? "sensor";
  $("h-heat").textContent = `${what === "sensor" ? "Sensors" : what} by highest score`;
  if (!before || before.n_cells !== heat.n_cells || before.start_ms !== heat.start_ms) marks();
  draw();
}

function marks() {
  const { start_ms, step_ms, n_cells } = heat, end = start_ms + n_cells * step_ms;
  const least = end - start_ms > 300_000 ? 60_000 : 1_000;
  const mark = (ms) => (step_ms >= 6 * 3_600_000 && step_ms < 86_400_000 ? toDay(ms) : toMark(ms, Math.max(step_ms, least)));
  axis.replaceChildren(...[start_ms, (start_ms + end) / 2, end].map((ms) => make("span", {}, mark(ms))));
}

/** The rows in sight, and of those that are not here yet a page from the server. */
function draw() {
  if (!heat) return;
  const first = Math.max(Math.floor(scroll.scrollTop / ROW) - 3, 0), last = Math.min(first + Math.ceil(scroll.clientHeight / ROW) + 6, heat.n_sensors);
  const focused = document.activeElement?.closest?.(".heat-row")?.dataset.name;
  shownTop = first;
  // The next answer has what is in sight, of the same moment as all else.
  data.heatFrom = Math.max(first - 20, 0);
  const lines = [];
  let missing = -1;
  for (let i = first; i < last; i++) {
    const row = rows.get(i);
    if (row) lines.push(line(row, i));
    else if (missing < 0) missing = i;
  }
  body.replaceChildren(...lines);
  if (focused !== undefined) [...body.children].find((row) => row.dataset.name === focused)?.querySelector("button").focus({ preventScroll: true });
  if (missing >= 0) more(missing);
}

async function more(from) {
  if (fetching) return;
  fetching = true;
  const of = heat, first = Math.max(from - 20, 0);
  try {
    // The bounds are those of the answer, so that all rows are of one time.
    const query = new URLSearchParams(data.question);
    for (const [name, value] of Object.entries({ from: data.answer.from_ms, to: data.answer.to_ms, heat_from: first, heat_size: PAGE })) query.set(name, value);
    const response = await fetch(`/api/heat?${query}`), page = await response.json();
    if (!response.ok) throw new Error(page.error);
    if (of === heat) {
      if (rows.size > MAX_KEPT) rows = pageOf(heat);
      for (const [i, row] of pageOf(page)) rows.set(i, row);
    }
    fetching = false;
    draw();
  } catch {
    // The next answer asks again.
    fetching = false;
  }
}

function line(row, i) {
  const canvas = make("canvas", { height: ROW - 4, width: Math.max(body.clientWidth - 190, 60) * (devicePixelRatio || 1) });
  const context = canvas.getContext("2d"), width = canvas.width / heat.n_cells;
  for (let at = 0; at < row.cells.length; at++) {
    if (row.cells[at] === ".") continue;
    context.fillStyle = colours[Number(row.cells[at])];
    context.fillRect(Math.floor(at * width), 0, Math.max(Math.ceil(width) - 1, 1), canvas.height);
  }
  const name = row.name || "(none)", highest = row.highest === null ? "–" : row.highest.toFixed(2);
  const button = make("button", { type: "button", title: name, "aria-pressed": String(state.sensor.includes(row.name)), "aria-label": `${name}: ${row.n} records, highest score ${highest}` }, name);
  const element = make("div", { className: "heat-row", "data-name": row.name, "data-idx": String(i), "data-cells": row.cells }, button, canvas, make("span", { className: "n", title: `${count(row.n)} records` }, highest));
  element.style.transform = `translateY(${i * ROW}px)`;
  return element;
}

/** What a cell is, in words. */
function tell(event) {
  const row = event.target.closest(".heat-row");
  if (!row || event.target.tagName !== "CANVAS") return;
  const box = event.target.getBoundingClientRect(), { cells } = row.dataset, at = Math.floor(((event.clientX - box.left) / box.width) * cells.length);
  const from = heat.start_ms + at * heat.step_ms, what = cells[at] === "." || cells[at] === undefined ? "no records" : RANGES[Number(cells[at])];
  event.target.title = `${row.dataset.name || "(none)"}, ${toFull(from)}: ${what}`;
}

function read() {
  colours = RANGES.map((_, range) => css(`--r${range}`));
  draw();
}

export function start() {
  $("heat").append(axis, scroll);
  read();
  scroll.addEventListener("scroll", () => { if (Math.abs(Math.floor(scroll.scrollTop / ROW) - 3 - shownTop) >= 1) draw(); }, { passive: true });
  body.addEventListener("click", (event) => {
    const row = event.target.closest(".heat-row");
    if (row) choose(row.dataset.name, event.ctrlKey || event.metaKey || event.shiftKey);
  });
  body.addEventListener("pointermove", tell);
  // Arrows go from sensor to sensor, also to those that are not in sight.
  $("heat").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !heat) return;
    event.preventDefault();
    const row = document.activeElement.closest(".heat-row");
    const to = Math.min(Math.max(row ? Number(row.dataset.idx) + step : 0, 0), heat.n_sensors - 1);
    if (to * ROW < scroll.scrollTop) scroll.scrollTop = to * ROW;
    if ((to + 1) * ROW > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = (to + 1) * ROW - scroll.clientHeight;
    draw();
    body.querySelector(`[data-idx="${to}"] button`)?.focus({ preventScroll: true });
  });
  onAnswer(take);
  onState(({ changed }) => { if (changed.includes("sensor")) draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", read);
  new ResizeObserver(draw).observe($("heat"));
}

