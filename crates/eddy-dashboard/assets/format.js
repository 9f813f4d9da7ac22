// Numbers, durations and moments as text.

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

const minute = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const toMinute = (ms) => minute.format(ms);
export const toSecond = (ms) => second.format(ms);

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. Colours come from the style sheet by class: the page allows no inline styles. */
export function shape(name, attributes, className) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (className) element.setAttribute("class", className);
  return element;
}
