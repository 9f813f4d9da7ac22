// Readings and scores over time, on a canvas: tens of thousands of dots, those that would alert
// marked, a brush to zoom.
/* global uPlot */

import { bounds, data, onAnswer, onRows } from "./data.js";
import { $, cell, compact, css, make, number, toMarks, toWhole } from "./format.js";
import { isLive, onState, state } from "./state.js";
import { show } from "./time.js";

const SECONDS = [0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];
const HUES = 8;
const MAX_VALUE = 1e15;
const charts = {};
let colours = {};
/** Points by time: s, value, score, series. */
let points = { t: [], v: [], s: [], k: [], names: [], thinned: false };
let changed = true, notBefore = 0, brushed = "";

/** The threshold in force: the one looked at, else the pipeline's. */
export function threshold() {
  if (state.threshold !== "" && Number.isFinite(Number(state.threshold))) return Number(state.threshold);
  return number(data.status.threshold) ?? Infinity;
}

/** Whether a score would alert. A model that learns gives 0, which never does. */
export const alerts = (score, limit = threshold()) => score > 0 && score >= limit;

/** How long the last drawing took, for whoever measures. */
export const drawn = { ms: 0, points: 0, times: 0 };

function collect() {
  const answer = data.answer;
  if (!answer) return;
  const { chart, from_ms } = answer, names = chart.series;
  const made = { t: chart.t.map((t) => (from_ms + t) / 1000), v: chart.v.slice(), s: chart.s.slice(), k: chart.k.slice(), names, thinned: chart.thinned };
  const column = answer.column;
  for (const row of data.tail) {
    let k = names[0] === null ? 0 : names.indexOf(row.name);
    if (k < 0) k = names.push(row.name) - 1;
    const value = number(row.source[column]);
    made.t.push(row.t);
    made.v.push(value === null ? null : Math.min(Math.max(value, -MAX_VALUE), MAX_VALUE));
    made.s.push(row.score);
    made.k.push(k);
  }
  set(made);
}

const ranges = new Map();

/** What a sensor's readings usually are, [low, high], where enough of them are drawn one by one. */
export function usual(name, column) {
  if (!data.answer || column !== data.answer.column || points.thinned) return null;
  const k = points.names[0] === null ? -1 : points.names.indexOf(name);
  if (k < 0) return null;
  if (!ranges.has(k)) {
    const limit = threshold(), values = [];
    for (let i = points.t.length - 1; i >= 0 && values.length < 2000; i--) {
      if (points.k[i] === k && points.v[i] !== null && !alerts(points.s[i], limit)) values.push(points.v[i]);
    }
    values.sort((a, b) => a - b);
    const at = (part) => values[Math.round(part * (values.length - 1))];
    ranges.set(k, values.length < 20 ? null : [at(0.01), at(0.99)]);
  }
  return ranges.get(k);
}

/** Shows points. */
export function set(made) {
  points = made;
  changed = true;
  ranges.clear();
  legend();
}

let legendOf = "";
function legend() {
  const names = points.names, of = JSON.stringify(names);
  if (of === legendOf) return;
  legendOf = of;
  const items = names[0] === null || !names.length ? [] : names.slice(0, 24).map((name, which) => make("li", {}, make("span", { className: `dot hue${which % HUES}` }), name || "(none)"));
  if (names.length > 24) items.push(make("li", {}, `and ${names.length - 24} more`));
  items.push(make("li", {}, make("span", { className: "dot alert" }), "at or above the threshold"));
  $("series").replaceChildren(...items);
}

function read() {
  colours = { hues: [], alert: css("--anomaly"), card: css("--card"), soft: css("--soft"), line: css("--line"), ink: css("--ink") };
  for (let hue = 0; hue < HUES; hue++) colours.hues.push(css(`--h${hue}`));
}

/** Draws all points of one chart: a pass for each colour, so that the context changes seldom. */
function dots(chart, values) {
  const { t, s, k, thinned } = points, { ctx, bbox } = chart, ratio = devicePixelRatio || 1;
  const x = chart.scales.x, y = chart.scales.y, n = t.length;
  if (!n || x.min === null || y.min === null) return;
  const kx = bbox.width / (x.max - x.min || 1), ky = bbox.height / (y.max - y.min || 1);
  const bottom = bbox.top + bbox.height, size = (n > 20_000 ? 2 : n > 4_000 ? 3 : 4) * ratio, half = size / 2, limit = threshold();
  const hues = Math.min(Math.max(points.names.length, 1), HUES);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (let hue = 0; hue < hues; hue++) {
    ctx.fillStyle = colours.hues[hue];
    let lastX = -1e9, lastY = 0, lastK = -1;
    for (let i = 0; i < n; i++) {
      if (k[i] % HUES !== hue || values[i] === null || t[i] < x.min || t[i] > x.max || alerts(s[i], limit)) continue;
      const px = Math.round(bbox.left + (t[i] - x.min) * kx), py = Math.round(bottom - (values[i] - y.min) * ky);
      if (px === lastX && py === lastY) continue;
      // Between the lowest and the highest of a column of pixels there are others.
      if (thinned && k[i] === lastK && Math.abs(px - lastX) <= ratio) {
        ctx.globalAlpha = 0.35;
        ctx.fillRect(px - ratio / 2, Math.min(py, lastY), ratio, Math.abs(py - lastY));
        ctx.globalAlpha = 1;
      }
      ctx.fillRect(px - half, py - half, size, size);
      lastX = px; lastY = py; lastK = k[i];
    }
  }
  const radius = 4.5 * ratio;
  ctx.fillStyle = colours.alert;
  ctx.strokeStyle = colours.card;
  ctx.lineWidth = ratio;
  for (let i = 0; i < n; i++) {
    if (!alerts(s[i], limit) || values[i] === null || t[i] < x.min || t[i] > x.max) continue;
    ctx.beginPath();
    ctx.arc(bbox.left + (t[i] - x.min) * kx, bottom - (values[i] - y.min) * ky, radius, 0, 7);
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

function line(chart) {
  const limit = threshold();
  if (!Number.isFinite(limit)) return;
  const y = chart.valToPos(limit, "y", true), { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = colours.alert;
  ctx.lineWidth = devicePixelRatio || 1;
  ctx.setLineDash([6, 4]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

function options(id, scale, draw) {
  const stroke = colours.soft, grid = { stroke: colours.line, width: 1 }, common = { stroke, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const times = (_, ticks, __, ___, step) => toMarks(ticks.map((t) => t * 1000), step * 1000);
  return {
    width: $(id).clientWidth, height: $(id).clientHeight, legend: { show: false }, padding: [8, 16, 0, 0],
    axes: [
      { ...common, size: 28, space: 84, incrs: SECONDS, values: times },
      { ...common, size: 54, space: 22, values: (_, ticks) => ticks.map((value) => (Math.abs(value) < 10_000 ? String(Number(value.toPrecision(6))) : compact(value))) },
    ],
    scales: { x: { time: true, range: () => bounds().map((ms) => ms / 1000) }, y: { range: scale } },
    series: [{}, { paths: () => null, points: { show: false } }],
    cursor: { sync: { key: "eddy" }, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      draw: [draw],
      setSelect: [(chart) => {
        const { left, width } = chart.select;
        // The other chart shows the same brush.
        if (width < 4 || brushed !== id) return;
        const at = (pixel) => chart.posToVal(pixel, "x") * 1000;
        const [from, to] = [at(left), at(left + width)];
        chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        show(from, to);
      }],
      setCursor: [under],
    },
  };
}

/** What is under the pointer, in words. Points may be others already than those that are drawn. */
function under(chart) {
  const { idx, left } = chart.cursor;
  if (chart !== charts.readings) return;
  if (idx === null || idx === undefined || left < 0 || idx >= points.t.length) {
    $("under").textContent = "";
    return;
  }
  const name = points.names[points.k[idx]], score = points.s[idx];
  $("under").textContent = [toWhole(points.t[idx] * 1000), name, cell(points.v[idx]), score === null ? "no score" : `score ${score.toFixed(2)}`].filter(Boolean).join(" · ");
}

/** The time that is drawn, in s. */
export const scale = () => [charts.readings.scales.x.min, charts.readings.scales.x.max];

function padded(_, min, max) {
  if (min === null || max === null) return [0, 1];
  const room = (max - min || Math.abs(max) || 1) * 0.06;
  return [min - room, max + room];
}

/** Makes the charts; again when the colours change. */
export function build() {
  read();
  for (const chart of Object.values(charts)) chart.destroy();
  const room = (_, __, max) => [0, Math.max((max ?? 0) * 1.08, Number.isFinite(threshold()) ? threshold() * 1.3 : 1)];
  charts.readings = new uPlot(options("readings", padded, (chart) => dots(chart, points.v)), [[], []], $("readings"));
  charts.scores = new uPlot(options("scores", room, (chart) => { dots(chart, points.s); line(chart); done(); }), [[], []], $("scores"));
  changed = true;
}

export function resize() {
  for (const [id, chart] of Object.entries(charts)) {
    if ($(id).clientWidth) chart.setSize({ width: $(id).clientWidth, height: $(id).clientHeight });
  }
  changed = true;
}

let began = 0;

/** Draws, behind what runs. */
export function draw() {
  began = performance.now();
  charts.readings.setData([points.t, points.v]);
  charts.scores.setData([points.t, points.s]);
}

/** Both charts are drawn. A fifth of the time at most goes into that. */
function done() {
  // A chart also draws by itself, as when its size changes.
  if (!began) return;
  drawn.ms = performance.now() - began;
  drawn.points = points.t.length;
  drawn.times++;
  notBefore = performance.now() + 4 * drawn.ms;
  began = 0;
}

function frame(at) {
  if (changed && at >= notBefore && state.view === "readings") {
    changed = false;
    draw();
  }
  requestAnimationFrame(frame);
}

function note() {
  const answer = data.answer;
  if (!answer) return;
  const { chart, total } = answer;
  $("chart-note").textContent = chart.thinned ? `the extremes of ${compact(total)} records, ${compact(chart.t.length)} points` : "";
}

export function start() {
  build();
  legend();
  for (const id of ["readings", "scores"]) $(id).addEventListener("mousedown", () => { brushed = id; }, { capture: true });
  onAnswer(() => { collect(); note(); });
  onRows(collect);
  onState(() => { changed = true; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
  new ResizeObserver(resize).observe($("readings"));
  setInterval(() => { if (isLive()) changed = true; }, 250);
  requestAnimationFrame(frame);
}
