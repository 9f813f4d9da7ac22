// What is looked at. It is the page's address: whoever has the link sees the same.

const DEFAULTS = {
  view: "readings", from: "now-15m", to: "now", sensor: [], q: "", column: "", threshold: "",
  sort: "created:desc", size: "", row: "", points: "", stream: "",
};
// What changes the server's answer; a change of anything else only changes what is shown of it.
const ASKED = ["from", "to", "sensor", "q", "column", "threshold", "sort", "size", "points"];

/** The state; it is changed by `go` alone. */
export const state = read(location.search);
const listeners = [];

function read(search) {
  const params = new URLSearchParams(search), found = { ...DEFAULTS, sensor: [] };
  for (const [name, value] of params) {
    if (name === "sensor") found.sensor.push(value);
    else if (name in DEFAULTS) found[name] = value;
  }
  return found;
}

function address() {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (name === "sensor") value.forEach((one) => params.append("sensor", one));
    else if (value !== DEFAULTS[name]) params.set(name, value);
  }
  const text = params.toString();
  return text ? `?${text}` : location.pathname;
}

/** Changes the state and the address. `replace` for steps on a way, as a slider's. */
export function go(change, { replace = false } = {}) {
  const before = { ...state };
  Object.assign(state, change);
  const to = address();
  if (to !== (location.search || location.pathname)) {
    history[replace ? "replaceState" : "pushState"](null, "", to);
  }
  tell(before);
}

function tell(before) {
  const changed = Object.keys(DEFAULTS).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(state[name]));
  if (!changed.length) return;
  const asks = changed.some((name) => ASKED.includes(name));
  for (const listener of listeners) listener({ changed, asks });
}

/** Calls `listener({changed, asks})` with the names of what has changed. */
export const onState = (listener) => listeners.push(listener);

addEventListener("popstate", () => {
  const before = { ...state };
  Object.assign(state, read(location.search));
  tell(before);
});

/** The query of the server; `more` are parameters beside the state's. */
export function asked(more = {}) {
  const params = new URLSearchParams();
  for (const name of ASKED) {
    if (name === "sensor") state.sensor.forEach((one) => params.append("sensor", one));
    else if (state[name] !== "") params.set(name, state[name]);
  }
  for (const [name, value] of Object.entries(more)) params.set(name, value);
  return params.toString();
}

export const isLive = () => state.to === "now";

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A moment of the state in ms; NaN where it is none. */
export function moment(text, now) {
  if (text === "now") return now;
  const back = /^now-(\d+)([smhdw])$/.exec(text);
  if (back) return now - Number(back[1]) * UNITS[back[2]];
  if (/^-?\d+$/.test(text)) return Number(text);
  // What names no zone is UTC, as the server has it.
  const [, date, time, zone] = /^(\d{4}-\d\d-\d\d)(?:[T ](.*?))?(Z|[+-]\d\d:?\d\d)?$/i.exec(text) ?? [];
  return date ? Date.parse(time ? `${date}T${time}${zone ?? "Z"}` : date) : NaN;
}

/** A length as the shortest relative start: 90 000 is `now-90s`. */
export function relative(ms) {
  const [unit, size] = Object.entries(UNITS).reverse().find(([, size]) => ms >= size && ms % size === 0) ?? ["s", 1_000];
  return `now-${Math.max(Math.round(ms / size), 1)}${unit}`;
}
