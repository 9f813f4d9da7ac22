// The time shown: relative or absolute, moved, widened, stopped.

import { bounds, now, onAnswer } from "./data.js";
import { $, make, toFull } from "./format.js";
import { go, isLive, onState, relative, state } from "./state.js";

const QUICK = [["5 min", "now-5m"], ["15 min", "now-15m"], ["1 hour", "now-1h"], ["3 hours", "now-3h"], ["12 hours", "now-12h"], ["24 hours", "now-24h"], ["7 days", "now-7d"], ["30 days", "now-30d"]];
const iso = (ms) => new Date(ms).toISOString();

/** Shows a fixed time. */
export function show(from, to) {
  const short = to - from < 100 ? 100 - (to - from) : 0;
  go({ from: iso(Math.floor(from - short / 2)), to: iso(Math.ceil(to + short / 2)) });
}

/** Shows the last `ms` and follows. */
export const follow = (ms) => go({ from: relative(ms), to: "now" });

/** Stops at what is shown, or follows again. */
export function pause() {
  const [from, to] = bounds();
  if (isLive()) show(from, to);
  else follow(Math.max(Math.round((to - from) / 1000) * 1000, 1000));
}

/** Moves by a part of the time shown: -0.5 is half of it back. */
export function move(part) {
  const [from, to] = bounds(), by = (to - from) * part;
  if (to + by >= now()) follow(Math.max(Math.round((to - from) / 1000) * 1000, 1000));
  else show(from + by, to + by);
}

/** Shows more or less around the middle; while following, up to now. */
export function zoom(factor) {
  const [from, to] = bounds();
  if (isLive()) return follow(Math.min(Math.max(Math.round(((to - from) * factor) / 1000) * 1000, 1000), 3650 * 86_400_000));
  const more = ((to - from) * (factor - 1)) / 2;
  if (to + more >= now() + 60_000) return show(from - 2 * more, to);
  show(from - more, to + more);
}

function name() {
  const quick = QUICK.find(([, from]) => state.to === "now" && state.from === from);
  if (quick) return `Last ${quick[0]}`;
  if (isLive() && /^now-\d+[smhdw]$/.test(state.from)) return `Last ${state.from.slice(4)}`;
  const [from, to] = bounds();
  return `${toFull(from)} – ${isLive() ? "now" : toFull(to)}`;
}

function tell() {
  $("range").textContent = name();
  $("pause").textContent = isLive() ? "Pause" : "Resume";
  for (const button of $("quick").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(state.to === "now" && button.dataset.from === state.from));
  }
}

/** Local time as the fields have it. */
function local(ms) {
  const at = new Date(ms);
  return new Date(ms - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function toggle(open = $("times").hidden) {
  $("times").hidden = !open;
  $("range").setAttribute("aria-expanded", String(open));
  if (!open) return;
  const [from, to] = bounds();
  $("from").value = local(from);
  $("to").value = local(to);
  $("time-wrong").textContent = "";
  ($("quick").querySelector('[aria-pressed="true"]') ?? $("quick").querySelector("button")).focus();
}

function apply() {
  const from = Date.parse($("from").value), to = Date.parse($("to").value);
  if (!(from < to)) {
    $("time-wrong").textContent = Number.isNaN(from + to) ? "Both are needed." : "It ends before it begins.";
    return;
  }
  toggle(false);
  show(from, to);
}

export function start() {
  for (const [text, from] of QUICK) {
    const button = make("button", { type: "button", "data-from": from }, text);
    button.addEventListener("click", () => { toggle(false); go({ from, to: "now" }); $("range").focus(); });
    $("quick").append(button);
  }
  $("range").addEventListener("click", () => toggle());
  $("apply").addEventListener("click", apply);
  $("times").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { toggle(false); $("range").focus(); }
    if (event.key === "Enter" && event.target.tagName === "INPUT") { event.preventDefault(); apply(); }
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".when")) toggle(false);
  });
  $("pause").addEventListener("click", pause);
  $("earlier").addEventListener("click", () => move(-0.5));
  $("later").addEventListener("click", () => move(0.5));
  $("wider").addEventListener("click", () => zoom(2));
  onState(tell);
  onAnswer(() => { $("later").disabled = isLive(); });
  tell();
}

