// Records a minute, split by score range.

import { $, compact, shape, toMinute } from "./format.js";
import { clock, recent, search } from "./rows.js";

const RANGES = [[0, 1, "below 1"], [1, 1.5, "1 to 1.5"], [1.5, 2, "1.5 to 2"], [2, 3, "2 to 3"], [3, null, "3 and above"]];
const MINUTES = 30, HEIGHT = 216, BOTTOM = 22, LEFT = 48, ROOM = 12;
let buckets = [];

/** Asks the index and draws. */
export async function bars() {
  const ranges = RANGES.map(([from, to]) => (to === null ? { from } : { from, to }));
  const scores = { range: { field: "ANOMALY_SCORE", ranges } };
  const minutes = { date_histogram: { field: "created", fixed_interval: "1m" }, aggs: { scores } };
  const found = await search({ size: 0, query: recent(MINUTES), aggs: { minutes } });
  buckets = found.aggregations?.minutes?.buckets ?? [];
  drawBars();
}

/** Draws what the index answered last; again when the width changes. */
export function drawBars() {
  const last = Math.floor(clock() / 60_000), width = Math.max($("bars").clientWidth, 200);
  const byMinute = new Map(buckets.map((bucket) => [Math.floor(bucket.key / 60_000), bucket]));
  const most = Math.max(1, ...buckets.map((bucket) => bucket.doc_count));
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": "Records a minute by score range" });
  const size = (count) => ((HEIGHT - BOTTOM - ROOM) * count) / most;
  const between = round(most / 4);
  for (let count = 0; count <= most; count += between) {
    const y = HEIGHT - BOTTOM - size(count);
    svg.append(shape("line", { x1: LEFT, x2: width, y1: y, y2: y }, "grid"), label(LEFT - 6, y + 4, "end", compact(count)));
  }
  const step = (width - LEFT) / MINUTES, every = step * 5 < 50 ? 10 : 5;
  for (let i = 0; i < MINUTES; i++) {
    const minute = last - MINUTES + 1 + i, x = LEFT + i * step;
    // On round minutes, and where the text has room.
    if (minute % every === 0 && x + step / 2 - 20 > LEFT && x + step / 2 + 20 < width) {
      svg.append(label(x + step / 2, HEIGHT - 6, "middle", toMinute(minute * 60_000)));
    }
    const bucket = byMinute.get(minute);
    if (bucket) svg.append(stack(bucket, x + 1, Math.max(step - 2, 1), size));
  }
  if (!buckets.length) svg.append(label(LEFT + (width - LEFT) / 2, HEIGHT / 2, "middle", `No records in the last ${MINUTES} minutes`));
  $("bars").replaceChildren(svg);
}

/** The next of 1, 2, 5, 10, 20, 50 and so on. */
function round(count) {
  const ten = 10 ** Math.max(Math.floor(Math.log10(count)), 0);
  return ten * ([1, 2, 5].find((part) => part * ten >= count) ?? 10);
}

/** One minute's bar. An anomaly among thousands stays visible: no part is thinner than 3 pixels. */
function stack(bucket, x, width, size) {
  const group = shape("g", {});
  let y = HEIGHT - BOTTOM;
  const lines = [`${toMinute(bucket.key)}: ${bucket.doc_count} records`];
  for (const range of bucket.scores.buckets) {
    // The answer may have more ranges than were asked for: what lies between them.
    const which = RANGES.findIndex(([from]) => from === range.from);
    if (!range.doc_count || which < 0) continue;
    const height = Math.max(size(range.doc_count), 3);
    y -= height;
    group.append(shape("rect", { x, y, width, height }, `s${which}`));
    lines.push(`${range.doc_count} with a score ${RANGES[which][2]}`);
  }
  const title = shape("title", {});
  title.textContent = lines.join("\n");
  group.append(title);
  return group;
}

function label(x, y, anchor, content) {
  const text = shape("text", { x, y, "text-anchor": anchor });
  text.textContent = content;
  return text;
}

export function legend() {
  $("legend").replaceChildren(...RANGES.map(([, , name], which) => {
    const item = document.createElement("li"), swatch = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    swatch.append(shape("rect", { width: 10, height: 10, rx: 2 }, `s${which}`));
    item.append(swatch, name);
    return item;
  }));
}
