// The page: live rows by server-sent events, everything else by queries of the index.
/* global uPlot */

const MAX_POINTS = 100_000;
const RANGES = [[0, 1, "below 1"], [1, 1.5, "1 to 1.5"], [1.5, 2, "1.5 to 2"], [2, 3, "2 to 3"], [3, null, "3 and above"]];
const $ = (id) => document.getElementById(id);
const rows = []; // of the time shown, by time: {t (s), name, values, score, why}
let status = { key: "iotName", columns: ["iotValue"], threshold: 2, totals: {} };
let live = true, dirty = true, seenTop = "", lastTotals = null;

function parse(source) {
  const t = Date.parse(source.created) / 1000;
  return { t, name: status.key ? String(source[status.key] ?? "") : "", source, score: source.ANOMALY_SCORE, why: source.ANOMALY_EXPLANATION };
}

function add(sources) {
  let sorted = true;
  for (const source of sources) {
    const row = parse(source);
    if (!Number.isFinite(row.t)) continue;
    if (rows.length && rows[rows.length - 1].t > row.t) sorted = false;
    rows.push(row);
    offer($("sensor"), row.name);
  }
  if (!sorted) rows.sort((a, b) => a.t - b.t);
  if (rows.length > MAX_POINTS) rows.splice(0, rows.length - MAX_POINTS);
  dirty = true;
}

function offer(select, name) {
  if (!name || select.options.length > 500) return;
  for (const option of select.options) if (option.value === name) return;
  const option = document.createElement("option");
  option.value = name;
  option.textContent = name;
  select.append(option);
}

const minutes = () => Number($("range").value);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function search(body) {
  const answer = await fetch("/es/anomalies/_search", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`the index answered ${answer.status}`);
  return answer.json();
}

const recent = () => ({ range: { created: { gte: `now-${minutes()}m` } } });

async function load() {
  rows.length = 0;
  const found = await search({ size: 10000, sort: [{ created: "desc" }], query: recent() });
  add(found.hits.hits.map((hit) => hit._source).reverse());
}

// Charts

const charts = {};

function axes() {
  const stroke = css("--soft"), grid = { stroke: css("--line"), width: 1 };
  return [{ stroke, grid, ticks: grid }, { stroke, grid, ticks: grid, size: 55 }];
}

function dots(color, size) {
  return { stroke: color, paths: () => null, points: { show: true, size, fill: color, stroke: color } };
}

function build() {
  for (const chart of Object.values(charts)) chart.destroy();
  const common = (id, height) => ({
    width: $(id).clientWidth, height, legend: { show: false }, axes: axes(),
    cursor: { sync: { key: "eddy" }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: () => { const now = Date.now() / 1000; return [now - minutes() * 60, now]; } } },
  });
  const empty = [[], [], []];
  charts.readings = new uPlot({ ...common("readings", 260), series: [{}, dots(css("--normal"), 4), dots(css("--anomaly"), 9)] }, empty, $("readings"));
  const scores = common("scores", 130);
  scores.scales.y = { range: (_, __, max) => [0, Math.max(max ?? 0, status.threshold * 1.5)] };
  scores.hooks = { draw: [threshold] };
  charts.scores = new uPlot({ ...scores, series: [{}, { stroke: css("--normal"), width: 1, points: { show: false } }, dots(css("--anomaly"), 6)] }, empty, $("scores"));
  dirty = true;
}

function threshold(chart) {
  const y = chart.valToPos(status.threshold, "y", true), box = chart.bbox, context = chart.ctx;
  context.save();
  context.strokeStyle = css("--anomaly");
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(box.left, y);
  context.lineTo(box.left + box.width, y);
  context.stroke();
  context.restore();
}

function draw() {
  if (live && dirty) {
    dirty = false;
    const from = Date.now() / 1000 - minutes() * 60 - 5;
    const first = rows.findIndex((row) => row.t >= from);
    if (first > 0) rows.splice(0, first);
    const sensor = $("sensor").value, column = $("column").value;
    const x = [], usual = [], odd = [], score = [], oddScore = [];
    for (const row of rows) {
      if (sensor && row.name !== sensor) continue;
      const value = row.source[column], high = row.score >= status.threshold;
      x.push(row.t);
      usual.push(high ? null : value);
      odd.push(high ? value : null);
      score.push(row.score);
      oddScore.push(high ? row.score : null);
    }
    charts.readings.setData([x, usual, odd]);
    charts.scores.setData([x, score, oddScore]);
    $("empty").hidden = rows.length > 0;
  }
}

// Bars, table, counters

const SVG = "http://www.w3.org/2000/svg";
function shape(name, attributes, className) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (className) element.setAttribute("class", className);
  return element;
}

async function bars() {
  const ranges = RANGES.map(([from, to]) => (to === null ? { from } : { from, to }));
  const found = await search({ size: 0, query: { range: { created: { gte: "now-30m/m" } } }, aggs: { minutes: { date_histogram: { field: "created", fixed_interval: "1m" }, aggs: { scores: { range: { field: "ANOMALY_SCORE", ranges } } } } } });
  const buckets = found.aggregations?.minutes.buckets ?? [];
  const now = Math.floor(Date.now() / 60000), width = 600, height = 230, bottom = 22, left = 44, n = 30;
  const byMinute = new Map(buckets.map((bucket) => [Math.floor(bucket.key / 60000), bucket]));
  const most = Math.max(1, ...buckets.map((bucket) => bucket.doc_count));
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "Records a minute by score range" });
  const y = (count) => (height - bottom) * (1 - count / (most * 1.08));
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    svg.append(shape("line", { x1: left, x2: width, y1: at, y2: at }, "grid"));
    const text = shape("text", { x: left - 6, y: at + 4, "text-anchor": "end" });
    text.textContent = compact(Math.round(most * part));
    svg.append(text);
  }
  const step = (width - left) / n;
  for (let i = 0; i < n; i++) {
    const minute = now - n + 1 + i, bucket = byMinute.get(minute);
    const x = left + i * step;
    if (i % 5 === 4) {
      const text = shape("text", { x: x + step / 2, y: height - 6, "text-anchor": "middle" });
      text.textContent = new Date(minute * 60000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      svg.append(text);
    }
    if (!bucket) continue;
    let sum = 0;
    bucket.scores.buckets.forEach((range, which) => {
      if (!range.doc_count) return;
      // An anomaly among thousands stays visible: no part is thinner than two pixels.
      const top = Math.min(y(sum + range.doc_count), y(sum) - 2);
      const bar = shape("rect", { x: x + 1, y: top, width: step - 2, height: y(sum) - top }, `s${which}`);
      const title = shape("title", {});
      title.textContent = `${range.doc_count} with a score ${RANGES[which][2]}`;
      bar.append(title);
      svg.append(bar);
      sum += range.doc_count;
    });
  }
  $("bars").replaceChildren(svg);
}

function legend() {
  $("legend").replaceChildren(...RANGES.map(([, , name], which) => {
    const item = document.createElement("li"), swatch = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    swatch.append(shape("rect", { width: 10, height: 10, rx: 2 }, `s${which}`));
    item.append(swatch, name);
    return item;
  }));
}

async function top() {
  const found = await search({ size: 20, sort: [{ ANOMALY_SCORE: "desc" }], query: recent() });
  const seen = JSON.stringify(found.hits.hits.map((hit) => hit._id));
  if (seen === seenTop) return;
  seenTop = seen;
  $("top").replaceChildren(...found.hits.hits.map((hit) => entry(parse(hit._source))));
}

function entry(row) {
  const line = document.createElement("tr");
  if (row.score >= status.threshold) line.className = "anomaly";
  const moment = new Date(row.t * 1000);
  const cells = [moment.toLocaleTimeString(), row.name, status.columns.map((name) => row.source[name]).join(", "), row.score.toFixed(2)];
  cells.forEach((text, which) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (which >= 2) cell.className = "n";
    if (which === 0) cell.title = moment.toISOString();
    line.append(cell);
  });
  const because = document.createElement("td");
  if (row.why) {
    const parts = Object.entries(row.why).map(([name, part]) => ({ name, ...part })).sort((a, b) => b.high + b.low - a.high - a.low);
    const most = parts[0], total = parts.reduce((sum, part) => sum + part.high + part.low, 0) || 1;
    const box = document.createElement("div");
    box.className = "because";
    const bar = shape("svg", { viewBox: "0 0 90 10", "aria-hidden": "true" });
    const high = 90 * parts.reduce((sum, part) => sum + part.high, 0) / total;
    bar.append(shape("rect", { width: 90, height: 10, rx: 3 }, "rail"), shape("rect", { width: high, height: 10, rx: 3 }, "high"), shape("rect", { x: high, width: 90 - high, height: 10, rx: 3 }, "low"));
    const text = document.createElement("span");
    text.textContent = `${most.name} is ${most.high >= most.low ? "high" : "low"}`;
    box.title = parts.map((part) => `${part.name}: high ${part.high.toFixed(2)}, low ${part.low.toFixed(2)}`).join("\n");
    box.append(bar, text);
    because.append(box);
  }
  line.append(because);
  return line;
}

const compact = (n) => Intl.NumberFormat([], { notation: n >= 10000 ? "compact" : "standard", maximumFractionDigits: 1 }).format(n);

async function counters() {
  status = await (await fetch("/api/status")).json();
  const totals = status.totals, now = performance.now();
  $("n-delivered").textContent = compact(totals.delivered);
  $("n-anomalies").textContent = compact(totals.anomalies);
  $("n-dead").textContent = compact(status.dead_lettered);
  $("n-behind").textContent = status.behind_ms == null ? "–" : status.behind_ms < 1000 ? "0 s" : `${Math.round(status.behind_ms / 1000)} s`;
  $("n-models").textContent = compact(status.models);
  if (lastTotals) {
    const rate = (totals.records - lastTotals.records) * 1000 / (now - lastTotals.now);
    $("n-rate").textContent = rate < 100 ? rate.toFixed(1) : compact(Math.round(rate));
  }
  lastTotals = { records: totals.records, now };
  $("threshold").textContent = status.threshold;
  $("h-key").textContent = status.key ?? "Sensor";
  $("h-value").textContent = status.columns.join(", ");
  for (const name of status.columns) offer($("column"), name);
  if (live && connected) {
    const learning = totals.scored === 0 && totals.warming_up > 0;
    say(rows.length ? "live" : "waiting", rows.length ? (learning ? "live, learning" : "live") : "waiting for the first record");
  }
}

// Connection

let connected = false;
function say(kind, text) {
  const state = $("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${kind}`;
}

function connect() {
  const events = new EventSource("/api/live");
  events.addEventListener("rows", (event) => { add(JSON.parse(event.data).rows); });
  events.addEventListener("open", () => { if (!connected) { connected = true; load().catch(fail); } });
  events.addEventListener("error", () => { connected = false; say("lost", "connection lost, trying again"); });
}

function fail(error) { say("lost", error.message); }

function every(interval, task) {
  const turn = async () => {
    if (live && !document.hidden) { try { await task(); } catch { /* the state line tells */ } }
    setTimeout(turn, interval);
  };
  turn();
}

function emptyText() {
  const empty = $("empty"), code = document.createElement("code");
  code.textContent = `aws kinesis put-record --endpoint-url http://127.0.0.1:4567 --stream-name RawStreamData --partition-key a --cli-binary-format raw-in-base64-out --data '{"iotName":"a","iotValue":15}'`;
  empty.replaceChildren("No records in this time. Put one:", code);
}

$("pause").addEventListener("click", () => {
  live = !live;
  $("pause").setAttribute("aria-pressed", String(!live));
  $("pause").textContent = live ? "Pause" : "Resume";
  say(live ? "live" : "paused", live ? "live" : "paused");
  dirty = true;
});
$("range").addEventListener("change", () => { seenTop = ""; load().catch(fail); });
for (const id of ["sensor", "column"]) $(id).addEventListener("change", () => { dirty = true; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
addEventListener("resize", () => { for (const [id, chart] of Object.entries(charts)) chart.setSize({ width: $(id).clientWidth, height: chart.height }); });

emptyText();
legend();
build();
counters().catch(() => {}).finally(connect);
every(1000, counters);
every(2000, top);
every(3000, bars);
every(250, async () => { dirty = true; });
(function frame() { draw(); requestAnimationFrame(frame); })();
