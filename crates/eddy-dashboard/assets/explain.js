// Why a record has its score: which columns made it, high or low, and how much.

import { usual } from "./chart.js";
import { cell, make, number, shape } from "./format.js";

/** The columns' parts, the greatest first: {name, high, low, value}. */
export function parts({ source, why }) {
  if (typeof why !== "object" || why === null || Array.isArray(why)) return [];
  const part = (part, side) => Math.max(number(part?.[side]) ?? 0, 0);
  return Object.entries(why)
    .map(([name, one]) => ({ name, high: part(one, "high"), low: part(one, "low"), value: source[name] }))
    .filter((one) => one.high + one.low > 0)
    .sort((a, b) => b.high + b.low - a.high - a.low);
}

/** In a few words: `iotValue high, usually 10 to 20`. As many columns as make most of the score. */
export function inWords(row) {
  const all = parts(row), total = all.reduce((sum, part) => sum + part.high + part.low, 0), words = [];
  let sum = 0;
  for (const part of all) {
    if (words.length === 3 || sum >= 0.7 * total) break;
    words.push(`${part.name} ${differs(part, usual(row.name, part.name))}`);
    sum += part.high + part.low;
  }
  return words.join("; ");
}

/** The model's high and low are relative to what a tree compares with, which late in a tree may be
 * an earlier anomaly: the usual readings, where they are known, tell more. */
function differs({ high, low, value }, known) {
  const model = high >= low ? "high" : "low";
  if (number(value) === null || known === null) return model;
  const [least, most] = known, usually = least === most ? cell(least) : `${cell(least)} to ${cell(most)}`;
  if (value >= least && value <= most) return `unusual within ${usually}`;
  return `${value > most ? "high" : "low"}, usually ${usually}`;
}

/** As bars from the middle: to the right what is too high, to the left what is too low. */
export function bars(row) {
  const all = parts(row);
  if (!all.length) return make("p", { className: "note" }, "No explanation: it comes with scores from the threshold on.");
  const most = Math.max(...all.flatMap((part) => [part.high, part.low]));
  const lines = all.map((part) => {
    const svg = shape("svg", { viewBox: "0 0 200 12", preserveAspectRatio: "none", "aria-hidden": "true" });
    const width = (size) => (98 * size) / most;
    svg.append(shape("rect", { x: 100 - width(part.low), width: width(part.low), y: 1, height: 10 }, "low"));
    svg.append(shape("rect", { x: 100, width: width(part.high), y: 1, height: 10 }, "high"));
    svg.append(shape("line", { x1: 100, x2: 100, y1: 0, y2: 12 }, "grid"));
    return make("tr", {}, make("th", { scope: "row" }, part.name), make("td", { className: "n" }, cell(part.value)),
      make("td", { className: "n" }, part.low.toFixed(2)), make("td", {}, svg), make("td", { className: "n" }, part.high.toFixed(2)));
  });
  const head = make("tr", {}, make("th", {}, "Column"), make("th", { className: "n" }, "Value"), make("th", { className: "n" }, "Too low"), make("th", { className: "middle" }, "adds to the score"), make("th", { className: "n" }, "Too high"));
  return make("table", { className: "why" }, make("thead", {}, head), make("tbody", {}, ...lines));
}
