// The page: its parts started in their order, the view that is shown, the state in one line.

import * as application from "./application.js";
import * as bars from "./bars.js";
import * as chart from "./chart.js";
import { begin, bounds, connection, data, onAnswer, onConnection, onRows, onStatus, settled } from "./data.js";
import { $, make } from "./format.js";
import * as heat from "./heat.js";
import * as keys from "./keys.js";
import * as letters from "./letters.js";
import * as sensors from "./sensors.js";
import { go, isLive, onState, state } from "./state.js";
import * as status from "./status.js";
import * as table from "./table.js";
import * as threshold from "./threshold.js";
import * as time from "./time.js";

const VIEWS = ["readings", "pipeline", "sql"];

function view() {
  const { has_index, is_application } = data.status, has_rows = has_index !== false;
  const there = { readings: has_rows, pipeline: true, sql: is_application === true };
  if (connection.status && there[state.view] !== true) {
    return go({ view: there.sql && !has_rows ? "sql" : has_rows ? "readings" : "pipeline" }, { replace: true });
  }
  for (const name of VIEWS) {
    $(`view-${name}`).hidden = name !== state.view;
    const button = document.querySelector(`[data-view="${name}"]`);
    button.hidden = !there[name];
    if (name === state.view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  $("bar").hidden = state.view !== "readings";
  $("of-index").hidden = !has_rows;
}

function tell() {
  const { totals } = data.status, listening = connection.events && data.error !== "connection";
  const lost = connection.status && (listening || !connection.opened) ? "" : "connection lost, trying again";
  if (!connection.status && !connection.opened) return say("waiting", "connecting");
  if (lost) say("lost", isLive() ? lost : `paused, ${lost}`);
  else if (!isLive()) say("paused", "paused");
  else if (data.status.has_index === false) say("live", "live");
  else if (!data.answer) say("waiting", "connecting");
  else if (!data.answer.total && !data.tail.length) say("waiting", totals.delivered > 0 ? "no records in this time" : "waiting for the first record");
  else say("live", totals.scored === 0 && totals.warming_up > 0 ? "live, learning" : "live");
}

function say(kind, text) {
  const line = $("state");
  if (line.textContent !== text) line.textContent = text;
  line.className = `state ${kind}`;
}

/** Says why there is nothing to see, once it is known. */
function tellEmpty() {
  const empty = $("empty"), is = data.answer !== null && !data.answer.total && !data.tail.length;
  const first = !data.status.totals.delivered && !state.sensor.length && !state.q;
  empty.hidden = !is;
  if (!is || empty.dataset.first === String(first)) return;
  empty.dataset.first = String(first);
  empty.replaceChildren(make("p", {}, first ? "No records yet. With the embedded stream, put one:" : "No records in this time."));
  if (!first) return;
  empty.append(make("code", {}, [
    "aws kinesis put-record --endpoint-url http://127.0.0.1:4567 --region us-east-1",
    "--stream-name RawStreamData --partition-key a",
    `--cli-binary-format raw-in-base64-out --data '{"iotName":"a","iotValue":15}'`,
  ].join(" \\\n  ")));
}

for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => go({ view: button.dataset.view }));
onState(({ changed }) => {
  tell();
  if (!changed.includes("view")) return;
  view();
  status.redraw();
  letters.look();
  bars.draw();
});
onConnection(tell);
onStatus(() => { view(); tell(); });
onAnswer(() => { tell(); tellEmpty(); });
onRows(() => { tell(); tellEmpty(); });

view();
for (const part of [time, sensors, chart, bars, heat, threshold, table, status, letters, application, keys]) part.start();
begin();

/** For whoever tests and measures. */
window.eddy = { data, settled, bounds, drawn: chart.drawn, set: chart.set, draw: chart.draw, scale: chart.scale };
