// The records: sorted by any column, filtered, each to be opened.

import { alerts } from "./chart.js";
import { data, onAnswer, onStatus, row } from "./data.js";
import { bars, inWords } from "./explain.js";
import { $, cell, count, make, toClock, toDay, toWhole } from "./format.js";
import { choose, narrow } from "./sensors.js";
import { asked, go, onState, state } from "./state.js";

const SCORE = "ANOMALY_SCORE", WHY = "ANOMALY_EXPLANATION", STEP = 100, MAX_ROWS = 10_000;
const lines = new Map();
/** A row that a link opens and that is not among those shown. */
let apart = null, fetched = "";

/** What is shown of every record: time, sensor, readings, score, then whatever else there is. */
function columns(rows) {
  const { key, columns: readings } = data.status, first = ["created", ...(key ? [key] : []), ...readings.filter((name) => name !== key), SCORE];
  const rest = new Set();
  for (const { source } of rows.slice(0, 100)) for (const name of Object.keys(source)) if (!first.includes(name) && name !== WHY) rest.add(name);
  return [...first, ...[...rest].slice(0, 12)];
}

function head(names) {
  const [field, order] = state.sort.split(/:(?=[^:]*$)/);
  const cells = names.map((name) => {
    const is = field === name, button = make("button", { type: "button", "data-field": name }, title(name), make("span", { "aria-hidden": "true" }, is ? (order === "desc" ? " ▾" : " ▴") : ""));
    return make("th", { scope: "col", className: isNumber(name) ? "n" : "", "aria-sort": is ? (order === "desc" ? "descending" : "ascending") : "none" }, button);
  });
  cells.push(make("th", { scope: "col" }, "Because"));
  const made = make("tr", {}, ...cells);
  if ($("table-head").innerHTML === made.outerHTML) return;
  const focused = document.activeElement?.closest("#table-head button")?.dataset.field;
  $("table-head").replaceChildren(made);
  if (focused) $("table-head").querySelector(`button[data-field="${CSS.escape(focused)}"]`)?.focus();
}

const title = (name) => ({ created: "Time", [SCORE]: "Score" })[name] ?? name;
/** Where there is little room the day is left out. */
const time = (one) => [make("span", { className: "day" }, `${toDay(one.t * 1000)}, `), toClock(one.t * 1000)];
const isNumber = (name) => name === SCORE || data.status.columns.includes(name);

function text(one, name) {
  if (name === "created") return toWhole(one.t * 1000);
  if (name === SCORE) return one.score === null ? "–" : Math.abs(one.score) < 1e6 ? one.score.toFixed(2) : cell(one.score);
  return cell(one.source[name]);
}

function draw() {
  const answer = data.answer;
  if (!answer) return;
  const rows = answer.table.rows.map(row), names = columns(rows), open = state.row;
  if (open && apart?.id === open && !rows.some((one) => one.id === open)) rows.unshift(apart);
  head(names);
  const made = [], kept = new Set();
  for (const one of rows) {
    const is = one.id === open, of = JSON.stringify([one.source, names, is, alerts(one.score)]);
    let line = lines.get(one.id);
    if (!line || line.of !== of) lines.set(one.id, (line = { of, elements: lineOf(one, names, is) }));
    kept.add(one.id);
    made.push(...line.elements);
  }
  for (const id of lines.keys()) if (!kept.has(id)) lines.delete(id);
  if (!made.length) made.push(make("tr", {}, make("td", { className: "none", colSpan: names.length + 1 }, "No records in this time.")));
  place(made);
  const n = answer.table.rows.length, { total } = answer.table;
  $("table-note").textContent = total ? `${count(n)} of ${count(total)}` : "";
  $("more").hidden = n >= total || n >= MAX_ROWS;
  for (const format of ["csv", "ndjson"]) $(`get-${format}`).href = `/api/export?${asked({ format, from: answer.from_ms, to: answer.to_ms })}`;
  $("api").href = `/api/query?${asked()}`;
  if (open && !kept.has(open)) find(open);
}

/** Puts lines in their order; those that stay keep the focus. */
function place(made) {
  const body = $("table-body"), wanted = new Set(made);
  for (const child of [...body.children]) if (!wanted.has(child)) child.remove();
  made.forEach((element, i) => { if (body.children[i] !== element) body.insertBefore(element, body.children[i] ?? null); });
}

function lineOf(one, names, is_open) {
  const toggle = make("button", { type: "button", className: "open", "aria-expanded": String(is_open), "aria-label": `Record of ${toWhole(one.t * 1000)}` }, is_open ? "▾" : "▸");
  const cells = names.map((name, i) => make("td", { className: [isNumber(name) ? "n" : "", name === SCORE ? "score" : "", name === data.status.key ? "name" : "", name === "created" ? "time" : ""].filter(Boolean).join(" "), title: name === "created" ? cell(one.source.created) : text(one, name) }, ...(i === 0 ? [toggle, ...time(one)] : [text(one, name)])));
  cells.push(make("td", { className: "because" }, inWords(one)));
  const line = make("tr", { className: `${alerts(one.score) ? "anomaly " : ""}${is_open ? "is-open" : ""}`, "data-id": one.id }, ...cells);
  return is_open ? [line, detail(one, names.length + 1)] : [line];
}

/** Every field, each of which can be filtered by, and the explanation. */
function detail(one, width) {
  const fields = make("dl", { className: "fields" });
  // What the filter's language would read in another way has no button.
  const filterable = (name, value) => /^[\w.@]+$/.test(name) && ["string", "number", "boolean"].includes(typeof value) && !/["*?\\]/.test(String(value));
  for (const [name, value] of Object.entries(one.source)) {
    if (name === WHY) continue;
    const tools = filterable(name, value) && name !== "created" ? [["+", "Only", false], ["−", "Without", true]].map(([sign, word, out]) => {
      const button = make("button", { type: "button", className: "quiet", "aria-label": `${word} ${name} ${value}` }, sign);
      button.addEventListener("click", () => narrow(name, value, out));
      return button;
    }) : [];
    fields.append(make("dt", {}, name), make("dd", {}, make("span", {}, typeof value === "object" ? JSON.stringify(value) : String(value)), ...tools));
  }
  fields.append(make("dt", {}, "_id"), make("dd", {}, make("span", {}, one.id)));
  const only = make("button", { type: "button" }, `Only ${one.name || "records without a name"}`);
  only.addEventListener("click", () => choose(one.name));
  const link = make("a", { href: `/es/anomalies/_doc/${encodeURIComponent(one.id)}` }, "As JSON");
  const box = make("div", { className: "detail" }, make("section", {}, make("h3", {}, "Fields"), fields, make("p", { className: "tools" }, ...(data.status.key ? [only] : []), link)), make("section", {}, make("h3", {}, "Explanation"), bars(one)));
  return make("tr", { className: "detail-line" }, make("td", { colSpan: width }, box));
}

/** Fetches a row that a link opens. */
async function find(id) {
  if (fetched === id) return;
  fetched = id;
  try {
    const body = JSON.stringify({ query: { ids: { values: [id] } } });
    const response = await fetch("/es/anomalies/_search", { method: "POST", headers: { "content-type": "application/json" }, body });
    const [hit] = (await response.json()).hits.hits;
    apart = hit ? row(hit) : null;
    if (apart) draw();
  } catch { /* It is not shown. */ }
}

function open(id) {
  if (id) {
    const shown = data.answer?.table.rows.find((one) => one._id === id);
    // It stays, also when newer ones push it out of the table.
    if (shown) apart = row(shown);
  }
  go({ row: state.row === id ? "" : id });
}

export function start() {
  $("table-head").addEventListener("click", (event) => {
    const name = event.target.closest("button")?.dataset.field;
    if (!name) return;
    const falls = isNumber(name) || name === "created";
    const [field, order] = state.sort.split(/:(?=[^:]*$)/), first = falls ? "desc" : "asc";
    go({ sort: `${name}:${field !== name ? first : order === "desc" ? "asc" : "desc"}` });
  });
  $("table-body").addEventListener("click", (event) => {
    if (event.target.closest(".detail-line") || String(getSelection())) return;
    const id = event.target.closest("tr")?.dataset.id;
    if (id) {
      open(id);
      $("table-body").querySelector(`tr[data-id="${CSS.escape(id)}"] .open`)?.focus({ preventScroll: true });
    }
  });
  $("table-body").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], at = event.target.closest(".open");
    if (!step || !at) return;
    event.preventDefault();
    const all = [...$("table-body").querySelectorAll(".open")];
    all[all.indexOf(at) + step]?.focus();
  });
  $("more").addEventListener("click", () => go({ size: String(Math.min((Number(state.size) || 50) + STEP, MAX_ROWS)) }, { replace: true }));
  onAnswer(draw);
  let known = "";
  onStatus(() => {
    const now = JSON.stringify([data.status.key, data.status.columns, data.status.threshold]);
    if (now !== known) { known = now; draw(); }
  });
  onState(({ changed }) => { if (changed.includes("row") || changed.includes("threshold")) draw(); });
}
