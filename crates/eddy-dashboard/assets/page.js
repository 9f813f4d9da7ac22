// The page: live rows by server-sent events, everything else by queries of the index.

import { bars, drawBars, legend } from "./bars.js";
import { build, draw, resize } from "./charts.js";
import { $, compact, duration, number } from "./format.js";
import { add, clock, load, minutes, rows, trim, view } from "./rows.js";
import { table } from "./table.js";

let lastTotals = null, leftOut = [];
let listening = true, answering = true, loaded = false, failure = "";

// Counters and state

async function counters() {
  let answer;
  try {
    answer = await fetch("/api/status");
    take(await answer.json());
    answering = true;
  } catch (error) {
    answering = false;
    throw error;
  } finally {
    tell();
  }
  // The server's clock dates the rows: follow it where this machine's is another.
  const skew = Date.parse(answer.headers.get("date")) + 500 - Date.now();
  view.skew = Math.abs(skew) > 3000 ? skew : 0;
}

function take(said) {
  const totals = said.totals ?? {}, now = performance.now();
  const columns = Array.isArray(said.columns) ? said.columns : [];
  if (JSON.stringify(columns) !== JSON.stringify(view.status.columns)) offer(columns);
  view.status = { ...said, totals, columns, key: said.key ?? null, threshold: number(said.threshold) ?? Infinity };
  show("n-delivered", compact(totals.delivered));
  show("n-anomalies", compact(totals.anomalies), totals.anomalies > 0);
  show("n-dead", compact(said.dead_lettered), said.dead_lettered > 0);
  show("n-behind", duration(said.behind_ms), said.behind_ms >= 60_000);
  show("n-models", compact(said.models));
  // A smaller count is a process that started anew.
  if (lastTotals && totals.records >= lastTotals.records) {
    const rate = ((totals.records - lastTotals.records) * 1000) / (now - lastTotals.now);
    show("n-rate", compact(rate < 100 ? rate : Math.round(rate)));
  }
  lastTotals = { records: totals.records, now };
  $("threshold").textContent = Number.isFinite(view.status.threshold) ? view.status.threshold : "not set";
  $("h-key").textContent = view.status.key ?? "";
  $("sensors").hidden = view.status.key === null;
  $("columns").hidden = columns.length < 2;
  $("h-value").textContent = columns.join(", ");
}

function show(id, text, marked = false) {
  $(id).textContent = text;
  $(id).classList.toggle("marked", marked);
}

function offer(columns) {
  $("column").replaceChildren(...columns.map((name) => new Option(name, name)));
  view.changed = true;
}

function tell() {
  const { totals } = view.status, lost = failure || (answering && listening ? "" : "connection lost, trying again");
  if (!view.live) say("paused", lost ? `paused, ${lost}` : "paused");
  else if (lost) say("lost", lost);
  else if (!rows.length) say("waiting", totals.delivered > 0 ? "no records in this time" : "waiting for the first record");
  else say("live", totals.scored === 0 && totals.warming_up > 0 ? "live, learning" : "live");
}

function say(kind, text) {
  const state = $("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${kind}`;
}

// Connection

function connect() {
  const events = new EventSource("/api/live");
  events.addEventListener("rows", (event) => {
    const { left_out, rows: hits } = JSON.parse(event.data);
    add(hits);
    // A pause shows what was there when it began.
    if (view.live) view.changed = true;
    if (left_out) leftOut.push({ at: performance.now(), left_out, drawn: hits.length });
  });
  events.addEventListener("open", () => {
    listening = true;
    reload();
  });
  events.addEventListener("error", () => {
    listening = false;
    tell();
    // The browser tries again by itself unless the answer was an error.
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

async function reload() {
  try {
    await load();
    loaded = true;
    failure = "";
  } catch (error) {
    // Asked once more with the next opening or choice.
    failure = answering && listening ? error.message : "";
  }
  view.changed = true;
  tell();
}

/** Says that not all was drawn; everything is in the index. */
function tellLeftOut() {
  const now = performance.now();
  leftOut = leftOut.filter((event) => now - event.at < 5000);
  const sum = (field) => leftOut.reduce((total, event) => total + event[field], 0);
  $("left-out").textContent = leftOut.length ? `more than can be drawn: about ${compact(sum("drawn"))} of ${compact(sum("drawn") + sum("left_out"))} shown` : "";
}

// Time

function every(interval, task) {
  const turn = async () => {
    if (view.live && !document.hidden) { try { await task(); } catch { /* the state line tells */ } }
    setTimeout(turn, interval);
  };
  return turn();
}

let notBefore = 0;
function frame(now) {
  if (view.changed && now >= notBefore) {
    view.changed = false;
    const began = performance.now();
    trim();
    tellEmpty(draw() === 0);
    // At most a fifth of the time goes into drawing.
    notBefore = now + 5 * (performance.now() - began);
  }
  requestAnimationFrame(frame);
}

// Controls

/** Says why there is nothing to see, once it is known. */
function tellEmpty(is_empty) {
  const empty = $("empty"), first = !view.status.totals.delivered && !$("sensor").value;
  empty.hidden = !is_empty || !loaded;
  if (empty.hidden || empty.dataset.first === String(first)) return;
  empty.dataset.first = String(first);
  empty.replaceChildren(first ? "No records yet. With the embedded stream, put one:" : "No records in this time.");
  if (!first) return;
  const code = document.createElement("code");
  code.textContent = [
    "aws kinesis put-record --endpoint-url http://127.0.0.1:4567 --region us-east-1",
    "--stream-name RawStreamData --partition-key a",
    `--cli-binary-format raw-in-base64-out --data '{"iotName":"a","iotValue":15}'`,
  ].join(" \\\n  ");
  empty.append(code);
}

function choose() {
  view.changed = true;
  reload();
  for (const task of [table, bars]) task().catch(() => {});
}

$("pause").addEventListener("click", () => {
  view.frozen = clock();
  view.live = !view.live;
  $("pause").textContent = view.live ? "Pause" : "Resume";
  view.changed = true;
  tell();
});
for (const id of ["sensor", "range"]) $(id).addEventListener("change", choose);
$("column").addEventListener("change", () => { view.changed = true; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
addEventListener("resize", () => { resize(); drawBars(); });

legend();
build();
drawBars();
requestAnimationFrame(frame);
every(1000, counters).finally(() => {
  connect();
  every(2000, table);
  every(3000, bars);
  every(1000, async () => tellLeftOut());
  every(250, async () => { view.changed = true; });
});
