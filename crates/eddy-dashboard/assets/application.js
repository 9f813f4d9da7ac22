// An SQL application: its text, the graph of its streams and pumps, each stream's latest rows.

import { data, onStatus } from "./data.js";
import { $, cell, compact, count, make, toWhole } from "./format.js";
import { graph } from "./graph.js";
import { go, onState, state } from "./state.js";

let last = null, shown = "", asking = false;
/** Rows a second by the name of a stream or a pump. */
const rates = new Map();

export async function look() {
  if (state.view !== "sql" || !data.status.is_application || asking) return;
  asking = true;
  try {
    const response = await fetch("/api/application"), found = await response.json();
    if (response.ok) take(found);
  } catch { /* The state line tells. */ }
  asking = false;
}

function take(found) {
  const at = performance.now(), now = new Map([...found.streams.map((one) => [`s:${one.name}`, one.rows]), ...found.pumps.map((one) => [`p:${one.name}`, one.rows])]);
  if (last && at - last.at >= 200) {
    for (const [name, rows] of now) {
      const rate = (Math.max(rows - (last.now.get(name) ?? 0), 0) * 1000) / (at - last.at), before = rates.get(name);
      // Over some seconds, so that rows that come in batches are a rate.
      rates.set(name, before === undefined ? rate : before * 0.7 + rate * 0.3);
    }
  }
  last = { at, now, found };
  draw();
}

function draw() {
  if (!last) return;
  const { found } = last;
  if (found.sql !== shown) {
    shown = found.sql;
    $("sql").textContent = found.sql;
  }
  $("sql-name").textContent = found.name;
  const c = found.counters;
  $("application-note").textContent = `${count(c.rows_in)} rows in, ${count(c.rows_out)} out; ${compact(c.filtered)} filtered, ${compact(c.aggregated)} in groups, ${compact(c.failed + c.late + c.rejected)} errors`;
  $("graph").replaceChildren(graph(found, rates, picked(), (name) => go({ stream: name })));
  streams();
}

function picked() {
  const { streams } = last.found, is = streams.find((one) => one.name === state.stream);
  return (is ?? streams.find((one) => one.is_output) ?? streams[0])?.name ?? "";
}

function streams() {
  const { streams } = last.found, name = picked(), names = streams.map((one) => one.name);
  if ([...$("stream").options].map((it) => it.value).join("\n") !== names.join("\n")) $("stream").replaceChildren(...names.map((one) => new Option(one, one)));
  $("stream").value = name;
  const stream = streams.find((one) => one.name === name);
  if (!stream) return;
  $("latest-head").replaceChildren(make("tr", {}, make("th", {}, "ROWTIME"), ...stream.columns.map((one, i) => make("th", { className: stream.latest.some((row) => typeof row.values[i] === "number") ? "n" : "" }, one))));
  const rows = stream.latest.map((row) => make("tr", {}, make("td", { className: "time" }, toWhole(row.rowtime_ms)), ...row.values.map((value) => make("td", { className: typeof value === "number" ? "n" : "", title: cell(value) }, cell(value)))));
  if (!rows.length) rows.push(make("tr", {}, make("td", { className: "none", colSpan: stream.columns.length + 1 }, "No rows yet.")));
  $("latest").replaceChildren(...rows);
}

export function start() {
  onStatus(look);
  onState(({ changed }) => {
    if (changed.includes("stream")) draw();
    if (changed.includes("view")) look();
  });
  $("stream").addEventListener("change", () => go({ stream: $("stream").value }));
}
