// Streams and pumps from left to right: a box a stream, an arrow a pump, with what flows.

import { compact, shape } from "./format.js";

const WIDTH = 216, HEIGHT = 54, GAP_X = 190, GAP_Y = 46, PAD = 12;

/** How far from the source a stream is: behind everything that it is filled from. */
function depths({ streams, pumps }) {
  const depth = new Map(streams.map((one) => [one.name, 0]));
  // Pumps feed each other in no circle, so that this ends.
  for (let turn = 0; turn < streams.length; turn++) {
    for (const { reads, into } of pumps) {
      for (const read of reads) depth.set(into, Math.max(depth.get(into) ?? 0, (depth.get(read) ?? 0) + 1));
    }
  }
  return depth;
}

const rate = (rates, name) => (rates.has(name) ? `${compact(Number(rates.get(name).toFixed(1)))} / s` : "– / s");
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function graph(found, rates, picked, pick) {
  const depth = depths(found), columns = [];
  for (const one of found.streams) (columns[depth.get(one.name)] ??= []).push(one);
  const most = Math.max(...columns.map((column) => column?.length ?? 0), 1);
  const width = PAD * 2 + columns.length * WIDTH + (columns.length - 1) * GAP_X, height = PAD * 2 + most * HEIGHT + (most - 1) * GAP_Y;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Streams and pumps" });
  const places = new Map();
  columns.forEach((column, x) => {
    const room = (height - column.length * HEIGHT) / (column.length + 1);
    column.forEach((one, y) => places.set(one.name, { x: PAD + x * (WIDTH + GAP_X), y: room + y * (HEIGHT + room) }));
  });
  const between = new Map();
  for (const pump of found.pumps) {
    for (const read of pump.reads) {
      const from = places.get(read), to = places.get(pump.into);
      if (!from || !to) continue;
      const of = `${read}\n${pump.into}`, nth = between.get(of) ?? 0;
      between.set(of, nth + 1);
      const shift = nth * 26, x1 = from.x + WIDTH, y1 = from.y + HEIGHT / 2 + shift / 3, x2 = to.x - 7, y2 = to.y + HEIGHT / 2 + shift / 3, middle = (x1 + x2) / 2;
      svg.append(shape("path", { d: `M${x1} ${y1} C${middle} ${y1 + shift} ${middle} ${y2 + shift} ${x2} ${y2}` }, "edge"));
      svg.append(shape("path", { d: `M${x2} ${y2 - 4} l7 4 l-7 4 z` }, "tip"));
      // On the part of the way that no other pump shares: near what it fills.
      const at = { x: x2 - (GAP_X - 14) / 2, y: (y1 + 3 * y2) / 4 + shift * 0.75 };
      const label = shape("text", { x: at.x, y: at.y - 7, "text-anchor": "middle" }, "pump", cut(pump.name, 20));
      label.append(shape("title", {}, "", pump.name));
      svg.append(label, shape("text", { x: at.x, y: at.y + 14, "text-anchor": "middle" }, "rate", rate(rates, `p:${pump.name}`)));
    }
  }
  for (const one of found.streams) {
    const { x, y } = places.get(one.name);
    const kind = one.is_source ? "source" : one.is_output ? "output" : "inner";
    const group = shape("g", { tabindex: 0, role: "button", "aria-pressed": String(one.name === picked), "aria-label": `Stream ${one.name}, ${rate(rates, `s:${one.name}`)}`, "data-stream": one.name }, `stream ${kind}${one.name === picked ? " picked" : ""}`);
    group.append(shape("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 8 }), shape("text", { x: x + 12, y: y + 22 }, "name", cut(one.name, 24)), shape("text", { x: x + 12, y: y + 41 }, "rate", `${rate(rates, `s:${one.name}`)} · ${compact(one.rows)} rows`), shape("title", {}, "", one.name));
    group.addEventListener("click", () => pick(one.name));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick(one.name);
    });
    svg.append(group);
  }
  return svg;
}
