// Dead letters, the newest first: why a record could not go on, and the bytes that came.

import { data, onStatus } from "./data.js";
import { $, bytes, count, make } from "./format.js";
import { state } from "./state.js";

const MAX_SHOWN = 64 << 10;
let before = null, n = 0, seen = -1, loading = false;

async function load(more) {
  if (loading) return;
  loading = true;
  // Also where there is no answer: what is wrong is said once, and asked again when more have come.
  seen = data.status.dead_lettered ?? 0;
  const query = more && before !== null ? `?before=${before}` : "";
  try {
    const response = await fetch(`/api/letters${query}`), page = await response.json();
    if (!response.ok) throw new Error(page.error);
    if (!more) { n = 0; $("letters").replaceChildren(); }
    n += page.letters.length;
    before = page.before;
    $("letters").append(...page.letters.map(letter));
    $("letters-more").hidden = before === null;
    $("letters-note").textContent = n ? `the newest ${count(n)}; the file has ${bytes(page.file_bytes)}` : "none";
  } catch (error) {
    $("letters-note").textContent = error.message;
  }
  loading = false;
}

function letter(one) {
  if (one.torn !== undefined) return make("details", { className: "letter" }, make("summary", {}, make("b", {}, "torn"), " a line that was not written to its end"), raw(new TextEncoder().encode(one.torn)));
  const where = `${one.stream} · ${one.partition} · ${one.sequence_number}${one.output_idx ? `:${one.output_idx}` : ""}`;
  const box = make("details", { className: "letter" }, make("summary", {}, make("time", {}, one.arrival), make("b", { className: `stage ${one.stage}` }, one.stage), make("span", {}, one.reason)));
  // The bytes are shown when somebody wants them.
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(make("p", { className: "note" }, where), raw(decoded(one.raw)));
  });
  return box;
}

function decoded(base64) {
  try {
    return Uint8Array.from(atob(base64 ?? ""), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Bytes as text where they are one, and as hexadecimal. */
function raw(all) {
  if (!all.length) return make("p", { className: "note" }, "No bytes: the first letter of the same payload has them.");
  const shown = all.subarray(0, MAX_SHOWN);
  let text = null;
  try { text = new TextDecoder("utf-8", { fatal: true }).decode(shown); } catch { /* They are none. */ }
  const lines = [];
  for (let at = 0; at < Math.min(shown.length, 4096); at += 16) {
    const part = [...shown.subarray(at, at + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex}  ${part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("")}`);
  }
  const box = make("div", { className: "raw" }, make("p", { className: "note" }, `${count(all.length)} bytes${shown.length < all.length ? ", the first of them shown" : ""}`));
  if (text !== null) box.append(make("pre", { tabIndex: 0 }, text));
  box.append(make("pre", { className: "hex", tabIndex: 0 }, lines.join("\n")));
  return box;
}

/** Looks, when the view is opened for the first time, or more have come and none is open. */
export function look() {
  if (state.view !== "pipeline") return;
  const more = (data.status.dead_lettered ?? 0) !== seen, reading = $("letters").querySelector("details[open]");
  if (more && !reading && n <= 50) load(false);
}

export function start() {
  $("letters-again").addEventListener("click", () => load(false));
  $("letters-more").addEventListener("click", () => load(true));
  onStatus(look);
}
