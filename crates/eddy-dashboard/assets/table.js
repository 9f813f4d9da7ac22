// The highest scores of the time shown, each with its explanation.

import { $, cell, number, shape, toSecond } from "./format.js";
import { add, isAnomaly, minutes, parse, recent, scored, search, view } from "./rows.js";

const BAR = 72;
let seen = "";

export async function table() {
  const { hits } = (await search({ size: 20, sort: [{ ANOMALY_SCORE: "desc" }], query: recent(minutes(), scored) })).hits;
  const { key, columns, threshold } = view.status;
  const found = JSON.stringify([key, columns, threshold, hits.map((hit) => hit._id)]);
  if (found === seen) return;
  seen = found;
  // What the table names the charts show, whatever was left out of the live rows.
  add(hits);
  view.changed = true;
  $("top").replaceChildren(...(hits.length ? hits.map((hit) => line(parse(hit))) : [nothing()]));
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
  because.append(...explanation(row.why));
  element.append(because);
  return element;
}

/** Which columns made the score, and whether they were high or low. */
function explanation(why) {
  if (typeof why !== "object" || why === null) return [];
  const parts = Object.entries(why)
    .map(([name, part]) => ({ name, high: Math.max(number(part?.high) ?? 0, 0), low: Math.max(number(part?.low) ?? 0, 0) }))
    .sort((a, b) => b.high + b.low - a.high - a.low);
  const total = parts.reduce((sum, part) => sum + part.high + part.low, 0);
  if (!total) return [];
  const box = document.createElement("div"), text = document.createElement("span");
  box.className = "because";
  box.title = parts.map((part) => `${part.name}: high ${part.high.toFixed(2)}, low ${part.low.toFixed(2)}`).join("\n");
  const bar = shape("svg", { viewBox: `0 0 ${BAR} 10`, "aria-hidden": "true" });
  const high = (BAR * parts.reduce((sum, part) => sum + part.high, 0)) / total;
  bar.append(shape("rect", { width: BAR, height: 10 }, "low"), shape("rect", { width: high, height: 10 }, "high"));
  // As many columns as make most of the score.
  const named = [];
  let sum = 0;
  for (const part of parts) {
    if (named.length === 3 || sum >= 0.7 * total) break;
    named.push(`${part.name} is ${part.high >= part.low ? "high" : "low"}`);
    sum += part.high + part.low;
  }
  text.textContent = named.join(", ");
  box.append(bar, text);
  return [box];
}
