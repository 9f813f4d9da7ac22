// The threshold: what would have alerted, and where labels are known, how right that would be.

import { threshold } from "./chart.js";
import { data, onAnswer, onStatus } from "./data.js";
import { $, cell, count, make, number, percent, shape } from "./format.js";
import { go, onState, state } from "./state.js";

let waiting = 0, drawnBins = "";

function own() {
  return number(data.status.threshold);
}

function slider() {
  const now = threshold(), input = $("threshold"), highest = data.answer?.scores.highest ?? 0;
  const max = Math.max(5, Math.ceil(Math.min(Math.max(highest, own() ?? 0, Number.isFinite(now) ? now : 0), 1000) * 1.05));
  if (Number(input.max) !== max && document.activeElement !== input) input.max = String(max);
  if (Number.isFinite(now) && document.activeElement !== input) input.value = String(now);
  $("threshold-value").textContent = Number.isFinite(now) ? now.toFixed(2) : "not set";
  $("threshold-reset").hidden = state.threshold === "" || own() === null;
}

/** How many would alert: as the server counted, or while the slider moves, by its bins. */
function alerts() {
  const { scores, threshold: counted } = data.answer, now = threshold();
  if (!Number.isFinite(now)) return { n: 0, exact: true };
  if (counted === now) return { n: scores.alerts, exact: true };
  const from = Math.ceil(now / scores.bin - 1e-9);
  return { n: scores.bins.slice(from).reduce((sum, n) => sum + n, 0), exact: false };
}

function tell() {
  slider();
  const answer = data.answer;
  if (!answer) return;
  const { n, exact } = alerts(), { scored } = answer.scores;
  $("would").textContent = scored
    ? `${exact ? "" : "about "}${count(n)} of ${count(scored)} scored records would have alerted (${percent(n / scored)}).`
    : "No scores in this time. A model gives its first ones when it has learnt enough.";
  bins(answer.scores);
  judge(answer.labels);
}

function judge(labels) {
  const box = $("judged");
  box.hidden = !labels || !(labels.anomalies || labels.judged);
  if (box.hidden) return;
  const pair = (name, value, note) => make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), " ", make("span", {}, note)));
  const learning = labels.anomalies - labels.could, rest = [];
  if (learning > 0) rest.push(`${count(learning)} came while the model learnt`);
  if (labels.unknown > 0) rest.push(`${count(labels.unknown)} alerts are of records without a label`);
  if (labels.judged < labels.alerts) rest.push(`precision is of the ${count(labels.judged)} highest alerts`);
  if (labels.cut) rest.push("recall is of the latest 5,000 labelled anomalies");
  const parts = [
    pair("Precision", percent(labels.precision), `${count(labels.right)} of ${count(labels.right + labels.wrong)} alerts were anomalies`),
    pair("Recall", percent(labels.recall), `${count(labels.found)} of ${count(labels.could)} anomalies alerted`),
  ];
  if (rest.length) parts.push(make("p", { className: "note" }, `${rest.join("; ")}.`));
  box.replaceChildren(...parts);
}

/** How the scores are spread, behind the slider: square roots, so that few among many are seen. */
function bins({ bins: all, bin }) {
  const max = Number($("threshold").max), n = Math.min(Math.ceil(max / bin), all.length), of = JSON.stringify([max, all]);
  const limit = threshold();
  if (of + limit === drawnBins) return;
  drawnBins = of + limit;
  const most = Math.sqrt(Math.max(1, ...all.slice(0, n)));
  const svg = shape("svg", { viewBox: `0 0 ${max} 40`, preserveAspectRatio: "none" });
  for (let i = 0; i < n; i++) {
    if (!all[i]) continue;
    const height = Math.max((40 * Math.sqrt(all[i])) / most, 1.5);
    svg.append(shape("rect", { x: i * bin, width: bin * 0.86, y: 40 - height, height }, (i + 0.5) * bin >= limit ? "over" : "below"));
  }
  $("score-bins").replaceChildren(svg);
}

export function start() {
  $("threshold").addEventListener("input", () => {
    const value = cell(Number($("threshold").value));
    clearTimeout(waiting);
    // The picture follows at once, the address and the server when the slider rests.
    state.threshold = value;
    tell();
    waiting = setTimeout(() => {
      state.threshold = "";
      go({ threshold: value }, { replace: true });
    }, 120);
  });
  $("threshold-reset").addEventListener("click", () => go({ threshold: "" }));
  onAnswer(tell);
  onStatus(slider);
  onState(({ changed }) => { if (changed.includes("threshold")) { if (state.threshold === "") $("threshold").value = String(threshold()); tell(); } });
}
