/**
 * The address of a moment: `#/videos/ID?t=4.21&scene=2&element=5&track=obj_007&of=film&sort=seconds`.
 *
 * What belongs here: reading and writing it. What does not: what is selected (`selection.js`), how lists are filtered (`lists.js`).
 *
 * @typedef {import("./shapes").Place} Place
 * @typedef {import("./room.js").Room} Room
 */
import { link } from "../router.js";
import { listsOf } from "./lists.js";

const WRITTEN_MS = 300; // between two changes of the address; longer while the film plays
const PLAYING_MS = 1000;

/**
 * @param {URLSearchParams} said
 * @returns {Place}
 */
function placeOf(said) {
  const number = (/** @type {string} */ name) => {
    const value = Number.parseFloat(said.get(name) ?? "");
    return Number.isFinite(value) && value >= 0 ? value : null;
  };
  return { t: number("t"), scene: number("scene"), element: number("element"), track: said.get("track"), lists: listsOf(said) };
}

/**
 * @param {string} id
 * @param {Place} place
 */
export function hashOf(id, { t, lists, ...selected }) {
  const seconds = t === null ? null : Math.round(t * 1000) / 1000;
  return link(`/videos/${encodeURIComponent(id)}`, { t: seconds, ...selected, ...lists });
}

/**
 * Open what the address says, now and whenever it is changed by hand; and keep it up with what is selected and listed.
 * @param {Room} room
 * @returns {() => void} ends it
 */
export function keepAddress(room) {
  const id = room.results.video.video_id;
  let due = 0;
  const write = () => {
    due = 0;
    if (location.hash.startsWith(`#/videos/${id}`)) history.replaceState(history.state, "", hashOf(id, room.place));
  };
  const later = () => (due ||= window.setTimeout(write, room.player.head.value.playing ? PLAYING_MS : WRITTEN_MS));
  const open = (/** @type {string} */ address) => {
    const [path, query] = new URL(address).hash.split("?");
    if (path === `#/videos/${id}`) room.open(placeOf(new URLSearchParams(query ?? "")));
  };
  const changed = (/** @type {HashChangeEvent} */ event) => open(event.newURL); // not what was written meanwhile
  open(location.href);
  window.addEventListener("hashchange", changed);
  const ends = [room.selection.view, room.lists, room.player.head].map((one) => one.watch(later));
  return () => {
    clearTimeout(due);
    if (due) write(); // it may be read again at once: by the newer results that take this place
    window.removeEventListener("hashchange", changed);
    for (const end of ends) end();
  };
}
