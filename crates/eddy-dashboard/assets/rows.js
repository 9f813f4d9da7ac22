// What the page looks at, the rows of that time, and the queries of the index.

import { $, number } from "./format.js";

const MAX_ROWS = 100_000;
const MAX_NAMES = 500;
const MAX_MINUTES = 60;

/** The pipeline's state, with what the page needs where the pipeline does not say it. */
export const view = { status: { key: null, columns: [], threshold: Infinity, totals: {} }, live: true, skew: 0, frozen: 0, changed: true, first: Infinity };

/** Rows of the time shown, by time: {id, t (s), name, source, score, why}. */
export const rows = [];
const ids = new Set();
const names = new Map(); // as shown -> as it is in the rows

/** The server's time in ms: it dates the rows. It stands still in a pause. */
export const clock = () => (view.live ? Date.now() + view.skew : view.frozen);
export const minutes = () => Number($("range").value);
export const isAnomaly = (row) => row.score !== null && row.score >= view.status.threshold;

/** A date as the index takes it, in ms: what names no zone is UTC. */
function millis(created) {
  if (typeof created === "number") return created;
  if (typeof created !== "string") return NaN;
  if (/^-?\d{5,}$/.test(created)) return Number(created);
  const zoned = !created.includes("T") || /(Z|[+-]\d\d(:?\d\d)?)$/i.test(created);
  return Date.parse(zoned ? created : `${created}Z`);
}

export function parse(hit) {
  const source = hit._source, key = view.status.key, name = key === null ? null : source[key];
  return {
    id: hit._id, t: millis(source.created) / 1000, source,
    name: name === null || name === undefined ? "" : String(name),
    score: number(source.ANOMALY_SCORE), why: source.ANOMALY_EXPLANATION,
  };
}

/** Takes rows in; those that are there already change nothing. */
export function add(hits) {
  const now = clock() / 1000;
  let sorted = true;
  for (const hit of hits) {
    if (ids.has(hit._id)) continue;
    const row = parse(hit);
    // Rows dated otherwise are in the index, not in the picture; a paused clock stands still.
    if (!(row.t > now - MAX_MINUTES * 60 && row.t < now + (view.live ? 60 : 86_400))) continue;
    if (rows.length && rows[rows.length - 1].t > row.t) sorted = false;
    view.first = Math.min(view.first, row.t);
    ids.add(row.id);
    rows.push(row);
    if (row.name) offer(row.name, row.source[view.status.key]);
  }
  if (!sorted) rows.sort((a, b) => a.t - b.t);
  if (rows.length > MAX_ROWS) drop(rows.length - MAX_ROWS);
}

function drop(n) {
  for (const row of rows.splice(0, n)) ids.delete(row.id);
}

/** The time shown, in s: the last minutes, or while there are fewer, those since the first row. */
export function shown() {
  const now = clock() / 1000;
  return [Math.max(now - minutes() * 60, Math.min(view.first, now - 60)), now];
}

/** What a sensor's readings of a column usually are: [low, high], of the last ones; null of few. */
export function usual(name, column) {
  const values = [];
  for (let i = rows.length - 1; i >= 0 && values.length < 2000; i--) {
    const row = rows[i], value = number(row.source[column]);
    if (row.name === name && !isAnomaly(row) && value !== null) values.push(value);
  }
  if (values.length < 20) return null;
  values.sort((a, b) => a - b);
  return [0.01, 0.99].map((part) => values[Math.round(part * (values.length - 1))]);
}

/** Lets go of what is older than the time shown. */
export function trim() {
  const from = clock() / 1000 - minutes() * 60 - 5;
  const first = rows.findIndex((row) => row.t >= from);
  drop(first < 0 ? rows.length : first);
}

function offer(name, value) {
  if (names.has(name) || names.size > MAX_NAMES) return;
  names.set(name, value);
  const option = document.createElement("option");
  if (names.size > MAX_NAMES) {
    option.disabled = true;
    option.textContent = `only ${MAX_NAMES} can be chosen from`;
    $("sensor").append(option);
    return;
  }
  option.value = name;
  option.textContent = name;
  const after = [...$("sensor").options].slice(1).find((other) => other.value > name);
  $("sensor").insertBefore(option, after ?? null);
}

export async function search(body) {
  const answer = await fetch("/es/anomalies/_search", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`the index answered ${answer.status}`);
  return answer.json();
}

/** The query for the last minutes, of the sensor that is chosen. */
export function recent(n_minutes, ...filters) {
  const iso = (ms) => new Date(ms).toISOString(), now = clock();
  const created = { gte: iso(now - n_minutes * 60_000) };
  if (!view.live) created.lte = iso(now);
  const filter = [{ range: { created } }, ...filters], sensor = $("sensor").value;
  if (sensor) filter.push({ term: { [view.status.key]: names.get(sensor) } });
  return { bool: { filter } };
}

export const scored = { range: { ANOMALY_SCORE: { gt: 0 } } };

/** The newest rows, and however many there are, the anomalies. */
export async function load() {
  const { threshold } = view.status;
  const newest = search({ size: 10_000, sort: [{ created: "desc" }], query: recent(minutes()) });
  if (Number.isFinite(threshold)) {
    const high = { range: { ANOMALY_SCORE: { gte: threshold } } };
    add((await search({ size: 2_000, sort: [{ ANOMALY_SCORE: "desc" }], query: recent(minutes(), high) })).hits.hits);
  }
  add((await newest).hits.hits.reverse());
}
