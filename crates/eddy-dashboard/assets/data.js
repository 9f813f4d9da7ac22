// What the server says of what is looked at: answers of its one query, rows as they become durable,
// and the pipeline's status.

import { asked, isLive, moment, onState, state } from "./state.js";

/** The newest answer and what was asked for it; live rows that came after it; the first sensor of the heatmap that is in sight; the pipeline's status. */
export const data = {
  answer: null, question: "", tail: [], error: "", leftOut: 0, heatFrom: 0,
  status: { key: null, columns: [], threshold: null, totals: {} }, rate: null,
};
const on = { answer: [], rows: [], status: [], connection: [] };
export const onAnswer = (listener) => on.answer.push(listener);
export const onRows = (listener) => on.rows.push(listener);
export const onStatus = (listener) => on.status.push(listener);
export const onConnection = (listener) => on.connection.push(listener);
const tell = (kind) => on[kind].forEach((listener) => listener());

/** What is answered: the status, the events, the query. */
export const connection = { status: false, events: false, opened: false };

// The server's clock dates the rows.
let skew = 0;
export const now = () => Date.now() + skew;

/** The bounds shown, in ms, as they are now; those of the answer where only the server reads the text. */
export function bounds() {
  const of = (text, answered) => { const ms = moment(text, now()); return Number.isNaN(ms) ? (answered ?? now()) : ms; };
  return [of(state.from, data.answer?.from_ms), of(state.to, data.answer?.to_ms)];
}

// The query

const TAIL_ROWS = 20_000;
let asking = false, again = false, notBefore = 0, timer = 0;

/** Whether no answer is awaited. */
export const settled = () => !asking;

/** Asks, or, while an answer is awaited, asks again behind it: one query at a time. */
export async function ask() {
  if (asking) { again = true; return; }
  asking = true;
  again = false;
  clearTimeout(timer);
  timer = 0;
  const start = performance.now(), question = asked();
  const px = Math.min(Math.max(Math.round(document.documentElement.clientWidth), 300), 4000);
  try {
    const response = await fetch(`/api/query?${asked({ px, heat_from: data.heatFrom })}`);
    const found = await response.json();
    if (!response.ok) throw new Error(found.error ?? `the server answered ${response.status}`);
    // Of a question that is no longer asked nothing is shown.
    if (question === asked()) {
      data.answer = found;
      data.question = question;
      data.tail = data.tail.filter((row) => row.t * 1000 > (found.newest_ms ?? -Infinity));
    }
    data.error = "";
  } catch (error) {
    data.error = error instanceof TypeError ? "connection" : error.message;
  }
  asking = false;
  const took = performance.now() - start;
  // A fifth of the time at most goes into asking for what moves.
  notBefore = performance.now() + Math.max(1000, 4 * took);
  tell("answer");
  if (again) ask();
}

/** Asks soon, as rows have come or time has passed. */
function askSoon() {
  if (timer || asking || document.hidden) return;
  timer = setTimeout(ask, Math.max(notBefore - performance.now(), 0));
}

onState(({ asks }) => { if (asks) { data.tail = []; ask(); } });

// Rows

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** A date as the index takes it, in ms: what names no zone is UTC. */
export function millis(created) {
  if (typeof created === "number") return created;
  return typeof created === "string" ? moment(created, NaN) : NaN;
}

/** A hit as the charts and the table use it. */
export function row({ _id: id, _source: source }) {
  const key = data.status.key, name = key === null ? null : source[key];
  return {
    id, source, t: millis(source.created) / 1000, name: name === null || name === undefined ? "" : String(name),
    score: number(source.ANOMALY_SCORE), why: source.ANOMALY_EXPLANATION,
  };
}

function take({ left_out, rows }) {
  data.leftOut += left_out;
  if (!isLive()) return;
  // What a filter leaves out only the index knows.
  if (!state.q) {
    const newest = data.answer?.newest_ms ?? -Infinity;
    for (const hit of rows) {
      const one = row(hit);
      if (state.sensor.length && !state.sensor.includes(one.name)) continue;
      if (one.t * 1000 > newest) data.tail.push(one);
    }
    data.tail.sort((a, b) => a.t - b.t);
    if (data.tail.length > TAIL_ROWS) data.tail.splice(0, data.tail.length - TAIL_ROWS);
    tell("rows");
  }
  askSoon();
}

function listen() {
  const events = new EventSource("/api/live");
  events.addEventListener("rows", (event) => take(JSON.parse(event.data)));
  events.addEventListener("open", () => {
    connection.events = true;
    connection.opened = true;
    tell("connection");
    ask();
  });
  events.addEventListener("error", () => {
    connection.events = false;
    connection.opened = true;
    tell("connection");
    // The browser tries again by itself unless the answer was an error.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

// Status

let last = null;

export async function look() {
  let response;
  try {
    response = await fetch("/api/status");
    const said = await response.json(), at = performance.now(), totals = said.totals ?? {};
    data.status = { ...said, totals, columns: Array.isArray(said.columns) ? said.columns : [], key: said.key ?? null, threshold: number(said.threshold) };
    // A smaller count is a process that started anew.
    const records = totals.records ?? 0;
    if (last && records >= last.records) data.rate = ((records - last.records) * 1000) / (at - last.at);
    last = { records, at };
    connection.status = true;
    const there = Date.parse(response.headers.get("date")) + 500 - Date.now();
    skew = Math.abs(there) > 3000 ? there : 0;
  } catch {
    connection.status = false;
  }
  tell("connection");
  if (connection.status) tell("status");
}

/** Begins: the status first, which says what the rows' fields mean. */
export async function begin() {
  await look();
  if (data.status.has_index !== false) {
    ask();
    listen();
    // The time moves on also without rows.
    setInterval(() => { if (isLive() && performance.now() > notBefore + 4000) askSoon(); }, 1000);
  } else {
    connection.events = true;
    connection.opened = true;
    tell("connection");
  }
  setInterval(() => { if (!document.hidden) look(); }, 1000);
}
