/**
 * The address of a moment: `#/videos/ID?t=4.21&scene=2&element=5&track=obj_007&of=film&sort=seconds`.
 *
 * What belongs here: reading and writing it. What does not: what is selected (`selection.js`), which lists there are (`lists.js`).
 *
 * @typedef {import("./shapes").Place} Place
 */
import { link } from "../router.js";
import { listsOf } from "./lists.js";

/**
 * @param {URLSearchParams} said
 * @returns {Place}
 */
export function placeOf(said) {
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
