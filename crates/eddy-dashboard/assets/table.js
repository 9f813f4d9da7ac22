// The highest scores of the time shown, each with its explanation.

import { $, cell, number, shape, toSecond } from "./format.js";
import { add, isAnomaly, minutes, parse, recent, scored, search, usual, view } from "./rows.js";

const BAR = 72;
let seen = "";

export async function table() {
  const { hits } = (await search({ size: 20, sort: [{ ANOMALY_SCORE: "desc" }], query: recent(minutes(), scored) })).hits;
  // What the table names the charts show, whatever was left out of the live rows.
  add(hits);
  view.changed = true;
  ranges.clear();
  const lines = hits.length ? hits.map((hit) => line(parse(hit))) : [nothing()];
  // Lines that did not change stay, and with them what is selected in them.
  const made = lines.map((element) => element.outerHTML).join("");
  if (made === seen) return;
  seen = made;
  $("top").replaceChildren(...lines);
}

/** The usual readings, found once for all lines. */
const ranges = new Map();
function range(sensor, column) {
  const name = JSON.stringify([sensor, column]);
  if (!ranges.has(name)) ranges.set(name, usual(sensor, column));
  return ranges.get(name);
}

function nothing() {
  const row = document.createElement("tr"), text = document.createElement("td");
  text.colSpan = 5;
  text.className = "none";
  text.textContent = "No scores in this time. A model gives its first ones when it has learned enough.";
  row.append(text);
  return row;
}

function line(row) {
  const element = document.createElement("tr");
  if (isAnomaly(row)) element.className = "anomaly";
  const add = (text, className, title) => {
    const column = document.createElement("td");
    column.className = className;
    column.textContent = text;
    if (title) column.title = title;
    element.append(column);
  };
  const value = view.status.columns.map((name) => cell(row.source[name])).join(", ");
  add(toSecond(row.t * 1000), "time", new Date(row.t * 1000).toISOString());
  add(row.name, "name", row.name);
  add(value, "n value", value);
  add(row.score === null ? "–" : row.score.toFixed(2), "n score", cell(row.score));
  const because = document.createElement("td");
  because.append(...explanation(row));
  element.append(because);
  return element;
}

/** Which columns made the score, and how their values differ from the usual ones. */
function explanation({ name: sensor, source, why }) {
  if (typeof why !== "object" || why === null) return [];
  const parts = Object.entries(why)
    .map(([name, part]) => ({ name, high: Math.max(number(part?.high) ?? 0, 0), low: Math.max(number(part?.low) ?? 0, 0) }))
    .sort((a, b) => b.high + b.low - a.high - a.low);
  const total = parts.reduce((sum, part) => sum + part.high + part.low, 0);
  if (!total) return [];
  const box = document.createElement("div"), text = document.createElement("span");
  box.className = "because";
  box.title = parts.map((part) => `${part.name}: high ${part.high.toFixed(2)}, low ${part.low.toFixed(2)}`).join("\n");
  if (parts.length > 1) box.append(shares(parts, total));
  // As many columns as make most of the score.
  const named = [];
  let sum = 0;
  for (const part of parts) {
    if (named.length === 3 || sum >= 0.7 * total) break;
    named.push(`${part.name} is ${differs(part, number(source[part.name]), range(sensor, part.name))}`);
    sum += part.high + part.low;
  }
  text.textContent = named.join("; ");
  box.append(text);
  return [box];
}

/** The model's high and low are relative to what a tree compares with, which late in a tree may be
 * an earlier anomaly: the usual readings, where they are known, tell more. */
function differs(part, value, known) {
  const model = part.high >= part.low ? "high" : "low";
  if (value === null || known === null) return model;
  const [low, high] = known, usually = low === high ? cell(low) : `${cell(low)} to ${cell(high)}`;
  if (value >= low && value <= high) return `unusual within ${usually}`;
  return `${value > high ? "high" : "low"}, usually ${usually}`;
}

/** The columns' shares of the score, the greatest first. */
function shares(parts, total) {
  const bar = shape("svg", { viewBox: `0 0 ${BAR} 10`, "aria-hidden": "true" });
  let x = 0;
  parts.forEach((part, which) => {
    const width = (BAR * (part.high + part.low)) / total;
    bar.append(shape("rect", { x, width: Math.max(width - 1, 0), height: 10 }, which === 0 ? "most" : "less"));
    x += width;
  });
  return bar;
}
