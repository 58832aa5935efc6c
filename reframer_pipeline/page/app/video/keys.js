/**
 * The keyboard of an editing room: which key does what, and the list of them.
 *
 * What belongs here: keys. What does not: what they do (`verbs.js`), the window that tells them (`help.js`).
 */

/** Each, and what it does. @type {[string, string][]} */
export const LIST = [
  ["Space", "play, stop"],
  ["K", "stop"],
  ["← →", "one frame back, on (also , .)"],
  ["Shift ← →", "one sampled frame back, on"],
  ["J L", "play back, play on; again: faster"],
  ["K + J L", "one frame back, on; held: slowly"],
  ["↑ ↓", "scene before, next scene"],
  ["Home End", "first frame, last frame"],
  ["R", "loop the scene"],
  ["[ ]", "slower, faster"],
  ["B M I", "boxes, masks, ids on and off"],
  ["S", "sound on and off"],
  ["+ − 0", "timeline closer, farther, whole"],
  ["C", "copy the address of this moment"],
  ["Esc", "select nothing"],
  ["?", "words and keys"],
];

/**
 * @param {Record<string, () => void>} does verbs by name, as in `NAMES`
 * @returns {() => void} ends it
 */
export function listen(does) {
  const ended = new AbortController();
  /** @type {Set<string>} */
  const held = new Set();
  const { signal } = ended;
  window.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.closest("input:not([type=checkbox]), select, textarea") && event.key !== "Escape") return;
    if (event.key === " " && target.closest("button, a, input, summary")) return; // it presses these
    if (event.key.startsWith("Arrow") && target.closest("[role=tablist]")) return; // they turn these
    const name = nameOf(event, held);
    held.add(keyOf(event));
    if (!name || !does[name]) return;
    event.preventDefault();
    event.stopPropagation(); // the shell has keys of its own
    does[name]();
  }, { signal, capture: true });
  window.addEventListener("keyup", (event) => held.delete(keyOf(event)), { signal });
  window.addEventListener("blur", () => held.clear(), { signal });
  return () => ended.abort();
}

/** @type {Record<string, string>} */
const NAMES = {
  " ": "toggle", k: "stop", ",": "back", ".": "on", "<": "backSampled", ">": "onSampled", ArrowUp: "sceneBefore", ArrowDown: "sceneNext",
  Home: "first", End: "last", r: "loop", "[": "slower", "]": "faster", b: "boxes", m: "masks", i: "ids", s: "sound",
  "+": "closer", "=": "closer",
  "-": "farther", "0": "whole", c: "copy", Escape: "clear", "?": "help",
};

/**
 * @param {KeyboardEvent} event
 * @param {Set<string>} held keys that are down
 * @returns {string | undefined}
 */
function nameOf(event, held) {
  const key = keyOf(event);
  if (key === "j" || key === "l") {
    const stepping = held.has("k");
    if (event.repeat && !stepping) return undefined;
    return key === "j" ? (stepping ? "back" : "reverse") : stepping ? "on" : "forward";
  }
  if (key === "k" && held.has("k")) return undefined;
  if (key === "ArrowLeft") return event.shiftKey ? "backSampled" : "back";
  if (key === "ArrowRight") return event.shiftKey ? "onSampled" : "on";
  return NAMES[key];
}

/** @param {KeyboardEvent} event */
function keyOf({ key }) {
  return key.length === 1 ? key.toLowerCase() : key;
}
