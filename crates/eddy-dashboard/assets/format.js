// Numbers, durations and moments as text, and elements made of texts.

export const $ = (id) => document.getElementById(id);

/** The number, or null for whatever is none: NULL, NaN, a text. */
export const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

const plain = new Intl.NumberFormat([], { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat([], { notation: "compact", maximumFractionDigits: 1 });

/** A count in few characters: 950, 9,999, 12.3K, 4.0e+20. */
export function compact(value) {
  if (number(value) === null) return "–";
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(1);
  return size >= 10_000 ? short.format(value) : plain.format(value);
}

export const count = (value) => (number(value) === null ? "–" : Intl.NumberFormat([]).format(value));
export const percent = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(share > 0 && share < 0.1 ? 2 : 1)} %`);

/** Any value of a row in a cell's width. */
export function cell(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(6)));
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function duration(ms) {
  if (number(ms) === null) return "–";
  if (ms < 1000) return "0 s";
  const seconds = ms / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

export function bytes(n) {
  if (number(n) === null) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0, left = n;
  while (left >= 1000 && at < 4) { left /= 1000; at++; }
  return `${left < 10 && at > 0 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

const formats = {
  minute: { hour: "2-digit", minute: "2-digit" },
  second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 },
  day: { day: "numeric", month: "short" },
  date: { day: "numeric", month: "short", timeZone: "UTC" },
  whole: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 },
  full: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" },
};
for (const [name, options] of Object.entries(formats)) formats[name] = new Intl.DateTimeFormat([], { hourCycle: "h23", ...options });
const to = (name) => (ms) => (Number.isFinite(ms) ? formats[name].format(ms) : "–");
export const toMinute = to("minute"), toSecond = to("second"), toDay = to("day"), toDate = to("date"), toClock = to("clock"), toWhole = to("whole"), toFull = to("full");

/** A moment as a mark on an axis whose marks are `step` ms apart. Whole days begin in UTC, and so do their names. */
export const toMark = (ms, step) => (step >= 86_400_000 ? toDate(ms) : step >= 60_000 ? toMinute(ms) : toSecond(ms));

/** Marks of an axis over more than a day: where the day changes its name stands for the time. */
export function toMarks(moments, step) {
  const spans = step < 86_400_000 && moments.at(-1) - moments[0] > 86_400_000;
  return moments.map((ms, i) => (spans && (i === 0 || toDay(ms) !== toDay(moments[i - 1])) ? toDay(ms) : toMark(ms, step)));
}

/** An element with texts and elements in it; texts are never markup. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key in element && key !== "list" && typeof value !== "string") element[key] = value;
    else element.setAttribute(key === "className" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. Colours come from the style sheet by class: the page allows no inline styles. */
export function shape(name, attributes, className, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (className) element.setAttribute("class", className);
  if (text !== undefined) element.textContent = text;
  return element;
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The scores' ranges: 0 for rows without a score. The server's numbers mean the same. */
export const RANGES = ["no score", "below 1", "1 to 1.5", "1.5 to 2", "2 to 3", "3 and above"];
