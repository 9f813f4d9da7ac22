// How the pipeline is: counters, throughput, partitions.

import { data, onAnswer, onStatus } from "./data.js";
import { $, bytes, compact, count, duration, make, number, shape } from "./format.js";
import { state } from "./state.js";

const HISTORY = 300;
const rates = [];
let lastWork = null, shares = null;

function show(id, text, marked = false) {
  $(id).textContent = text;
  $(id).classList.toggle("marked", marked);
}

function short() {
  const { status, rate } = data;
  show("n-rate", rate === null ? "–" : compact(rate < 100 ? rate : Math.round(rate)));
  show("n-dead", compact(status.dead_lettered), status.dead_lettered > 0);
  show("n-behind", duration(status.behind_ms), status.behind_ms >= 60_000);
}

function answered() {
  const answer = data.answer;
  if (!answer) return;
  show("n-total", compact(answer.total));
  show("n-alerts", compact(answer.scores.alerts), answer.scores.alerts > 0);
  show("n-highest", answer.scores.highest === null ? "–" : compact(Number(answer.scores.highest.toFixed(2))));
}

/** What the tiles of the pipeline's view say: [name, text, note, marked]. */
function tiles() {
  const { status, rate } = data, t = status.totals, app = status.is_application;
  return [
    ["records in", compact(app ? t.rows_in : t.records), `${bytes(t.bytes)} in ${compact(t.payloads)} payloads`],
    app ? ["rows out", compact(t.rows_out), `${compact(t.filtered)} filtered, ${compact(t.aggregated)} in groups`] : ["scored", compact(t.scored), t.warming_up ? `${compact(t.warming_up)} while learning` : `${compact(t.unscored)} without a value`],
    ["anomalies", compact(t.anomalies), number(status.threshold) === null ? "" : `scores from ${status.threshold}`, t.anomalies > 0 && "anomaly"],
    ["delivered", compact(t.delivered), t.unrouted ? `${compact(t.unrouted)} wanted by no sink` : `${compact(t.commits)} commits`],
    ["late", compact(t.clamped), "moved up to the stream's time"],
    ["dead letters", compact(status.dead_lettered), `${compact(t.dead_decode)} decode, ${compact(t.dead_detect)} detect, ${compact(t.dead_deliver)} deliver`, status.dead_lettered > 0 && "warn"],
    ["behind", duration(status.behind_ms), "the newest record", status.behind_ms >= 60_000 && "warn"],
    ["records / s", rate === null ? "–" : compact(rate < 100 ? rate : Math.round(rate)), "in the last second"],
    ["memory", bytes(status.memory_bytes), "of the process"],
    ["models", compact(status.models), bytes(status.model_bytes)],
    ["up", duration(status.uptime_ms), t.restarts ? `${count(t.restarts)} restarts of partitions` : "no restarts"],
  ];
}

function draw() {
  short();
  if (data.rate !== null) rates.push(data.rate);
  if (rates.length > HISTORY) rates.shift();
  work();
  if (state.view !== "pipeline") return;
  $("counters").replaceChildren(...tiles().map(([name, text, note, marked]) => make("div", { className: "tile" }, make("b", { className: marked ? `marked ${marked}` : "", "data-name": name }, text), make("span", {}, name), make("small", {}, note))));
  spark();
  partitions();
}

/** The shares of time since the last look. */
function work() {
  const t = data.status.totals, now = ["decode_ns", "score_ns", "deliver_ns", "commit_ns"].map((name) => t[name] ?? 0);
  if (lastWork && now.every((ns, i) => ns >= lastWork[i])) {
    const spent = now.map((ns, i) => ns - lastWork[i]);
    if (spent.some((ns) => ns > 0)) shares = spent;
  }
  lastWork = now;
  if (state.view !== "pipeline") return;
  const names = ["decoding", "scoring and learning", "waiting for sinks", "commits"], total = (shares ?? []).reduce((sum, ns) => sum + ns, 0);
  $("work").replaceChildren(...names.map((name, i) => {
    const share = total ? shares[i] / total : 0, svg = shape("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(shape("rect", { width: 100, height: 10 }, "track"), shape("rect", { width: 100 * share, height: 10 }, `r${[1, 2, 3, 4][i]}`));
    return make("div", { className: "share" }, make("span", {}, name), svg, make("b", {}, total ? `${Math.round(share * 100)} %` : "–"));
  }));
}

function spark() {
  const box = $("rate"), width = Math.max(box.clientWidth, 200), height = 140, most = Math.max(1, ...rates), step = width / (HISTORY - 1);
  const y = (rate) => height - 4 - ((height - 14) * rate) / most, x = (i) => width - (rates.length - 1 - i) * step;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Records a second in the last minutes, ${compact(most)} at most` });
  const line = rates.map((rate, i) => `${x(i).toFixed(1)},${y(rate).toFixed(1)}`).join(" ");
  if (rates.length > 1) svg.append(shape("polygon", { points: `${x(0).toFixed(1)},${height - 4} ${line} ${width},${height - 4}` }, "area"), shape("polyline", { points: line }, "line"));
  svg.append(shape("line", { x1: 0, x2: width, y1: height - 4, y2: height - 4 }, "grid"));
  box.replaceChildren(svg);
  $("rate-note").textContent = rates.length ? `${compact(most)} at most in the last ${duration(rates.length * 1000)}` : "";
}

function partitions() {
  const all = Object.entries(data.status.partitions ?? {});
  $("partitions-note").textContent = all.length ? `${count(all.length)} being read` : "none is being read";
  $("partitions").replaceChildren(...all.slice(0, 500).map(([name, one]) => {
    const waiting = Object.entries(one.waiting_rows ?? {}).map(([sink, rows]) => `${sink} ${compact(rows)}`).join(", ");
    const holds = one.holds_merge_ms ? `, others wait for it since ${duration(one.holds_merge_ms)}` : "";
    const settled = one.settled ? String(one.settled.sequence ?? JSON.stringify(one.settled)) : "–";
    return make("tr", {}, make("td", { className: "name", title: name }, name), make("td", { className: "n" }, duration(one.behind_ms) + holds), make("td", { className: "n" }, compact(one.models)), make("td", { className: "n" }, bytes(one.model_bytes)), make("td", { className: "n" }, waiting || "–"), make("td", { className: "name", title: settled }, settled));
  }));
}

/** Draws again, as the view is another. */
export const redraw = draw;

export function start() {
  onStatus(draw);
  onAnswer(answered);
}
