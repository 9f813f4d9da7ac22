// Readings and scores over time.
/* global uPlot */

import { $, compact, number, toMinute, toSecond } from "./format.js";
import { isAnomaly, minutes, rows, shown, view } from "./rows.js";

// Beyond this the axis would lose its marks.
const MAX_VALUE = 1e15;
// Between the marks of the time axis.
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const charts = {};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function axes() {
  const stroke = css("--soft"), grid = { stroke: css("--line"), width: 1 }, common = { stroke, grid, ticks: grid };
  const times = (_, ticks) => ticks.map((t) => (minutes() > 5 ? toMinute : toSecond)(t * 1000));
  return [
    { ...common, size: 30, space: 76, incrs: SECONDS, values: times },
    { ...common, size: 58, space: 18, values: (_, ticks) => ticks.map(tick) },
  ];
}

function tick(value) {
  return Math.abs(value) < 10_000 ? String(Number(value.toPrecision(6))) : compact(value);
}

function dots(color, size) {
  return { stroke: color, paths: () => null, points: { show: true, size, fill: color, stroke: color, width: 0 } };
}

/** Makes the charts; again when the colours change. */
export function build() {
  for (const chart of Object.values(charts)) chart.destroy();
  const common = (id) => ({
    width: $(id).clientWidth, height: $(id).clientHeight, legend: { show: false }, axes: axes(), padding: [8, 30, 0, 0],
    cursor: { sync: { key: "eddy" }, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: true, range: shown } },
  });
  const empty = [[], [], []], normal = css("--normal"), anomaly = css("--anomaly");
  charts.readings = new uPlot({ ...common("readings"), series: [{}, dots(normal, 4), dots(anomaly, 9)] }, empty, $("readings"));
  const scores = common("scores");
  scores.scales.y = { range: (_, __, max) => [0, Math.max((max ?? 0) * 1.08, (number(view.status.threshold) ?? 1) * 1.5)] };
  scores.hooks = { draw: [threshold] };
  charts.scores = new uPlot({ ...scores, series: [{}, dots(normal, 3), dots(anomaly, 7)] }, empty, $("scores"));
  view.changed = true;
}

export function resize() {
  for (const [id, chart] of Object.entries(charts)) chart.setSize({ width: $(id).clientWidth, height: $(id).clientHeight });
  view.changed = true;
}

function threshold(chart) {
  if (number(view.status.threshold) === null) return;
  const y = chart.valToPos(view.status.threshold, "y", true), box = chart.bbox, context = chart.ctx;
  context.save();
  context.strokeStyle = css("--anomaly");
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(box.left, y);
  context.lineTo(box.left + box.width, y);
  context.stroke();
  context.restore();
}

function bounded(value) {
  const found = number(value);
  return found === null ? null : Math.min(Math.max(found, -MAX_VALUE), MAX_VALUE);
}

/** Draws the rows of the chosen sensor and column. */
export function draw() {
  const sensor = $("sensor").value, column = $("column").value;
  const x = [], usual = [], odd = [], score = [], oddScore = [];
  for (const row of rows) {
    if (sensor && row.name !== sensor) continue;
    const value = bounded(row.source[column]), high = isAnomaly(row), scored = bounded(row.score);
    x.push(row.t);
    usual.push(high ? null : value);
    odd.push(high ? value : null);
    score.push(high ? null : scored);
    oddScore.push(high ? scored : null);
  }
  charts.readings.setData([x, usual, odd]);
  charts.scores.setData([x, score, oddScore]);
  return x.length;
}
