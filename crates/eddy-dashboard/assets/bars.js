// Records a minute, split by score range.

import { data, onAnswer } from "./data.js";
import { $, compact, make, RANGES, shape, toFull, toMarks } from "./format.js";
import { show } from "./time.js";

const HEIGHT = 220, BOTTOM = 22, LEFT = 44, ROOM = 10;
const NAMES = new Map([[1_000, "a second"], [60_000, "a minute"], [3_600_000, "an hour"], [86_400_000, "a day"]]);

function unit(ms) {
  if (NAMES.has(ms)) return NAMES.get(ms);
  const [size, name] = [[86_400_000, "days"], [3_600_000, "hours"], [60_000, "minutes"], [1_000, "seconds"], [1, "ms"]].find(([size]) => ms >= size);
  return `every ${Number((ms / size).toFixed(1))} ${name}`;
}

/** Draws what was answered last; again when the width changes. */
export function draw() {
  if (!data.answer) return;
  const { start_ms, step_ms, counts } = data.answer.bars, n = counts.length;
  const width = Math.max($("bars").clientWidth, 200), whole = counts.map((parts) => parts.reduce((sum, part) => sum + part, 0));
  const most = Math.max(1, ...whole), step = (width - LEFT) / n, size = (count) => ((HEIGHT - BOTTOM - ROOM) * count) / most;
  $("h-bars").textContent = `Records ${unit(step_ms)}, by score`;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `Records ${unit(step_ms)} by score range; ${n} bars, ${Math.max(...whole)} records at most` });
  const between = round(most / 4);
  for (let count = 0; count <= most; count += between) {
    const y = HEIGHT - BOTTOM - size(count);
    svg.append(shape("line", { x1: LEFT, x2: width, y1: y, y2: y }, "grid"), shape("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, "", compact(count)));
  }
  const every = Math.max(Math.ceil(64 / step), 1);
  let free = LEFT + 18;
  const marked = [];
  counts.forEach((parts, i) => {
    const x = LEFT + i * step, middle = x + step / 2;
    if (i % every === 0 && middle >= free && middle + 24 <= width) {
      marked.push([middle, start_ms + i * step_ms]);
      free = middle + 60;
    }
    if (whole[i]) svg.append(stack(parts, whole[i], start_ms + i * step_ms, x + step * 0.1, Math.max(step * 0.8, 1), size));
  });
  const marks = toMarks(marked.map(([, ms]) => ms), step_ms);
  svg.append(...marked.map(([x], i) => shape("text", { x, y: HEIGHT - 6, "text-anchor": "middle" }, "", marks[i])));
  svg.addEventListener("click", (event) => {
    const group = event.target.closest("g");
    if (group) show(Number(group.dataset.at), Number(group.dataset.at) + step_ms - 1);
  });
  $("bars").replaceChildren(svg);
}

/** The next of 1, 2, 5, 10, 20, 50 and so on. */
function round(count) {
  const ten = 10 ** Math.max(Math.floor(Math.log10(count)), 0);
  return ten * ([1, 2, 5].find((part) => part * ten >= count) ?? 10);
}

/** One bar. An anomaly among thousands stays visible: no part is thinner than 3 pixels. */
function stack(parts, whole, at, x, width, size) {
  const group = shape("g", { "data-at": at }), lines = [`${toFull(at)}: ${whole} records`];
  let y = HEIGHT - BOTTOM;
  parts.forEach((count, range) => {
    if (!count) return;
    const height = Math.max(size(count), 3);
    y -= height;
    group.append(shape("rect", { x, y, width, height, "data-n": count }, `r${range}`));
    lines.push(`${count} ${range ? "with a score " : ""}${RANGES[range]}`);
  });
  group.append(shape("title", {}, "", lines.join("\n")));
  return group;
}

export function start() {
  $("legend").replaceChildren(...RANGES.map((name, range) => {
    const swatch = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    swatch.append(shape("rect", { width: 10, height: 10, rx: 2 }, `r${range}`));
    return make("li", {}, swatch, name);
  }));
  onAnswer(draw);
  new ResizeObserver(draw).observe($("bars"));
}
