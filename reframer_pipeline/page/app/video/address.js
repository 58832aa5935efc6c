/**
 * The address of a moment: `#/videos/ID?t=4.21&scene=2&element=5&track=obj_007`.
 *
 * What belongs here: reading and writing it. What does not: what is selected (`screen.js`).
 *
 * @typedef {import("./shapes").Place} Place
 */

/**
 * @param {URLSearchParams} said
 * @returns {Place}
 */
export function placeOf(said) {
  const number = (/** @type {string} */ name) => {
    const value = Number.parseFloat(said.get(name) ?? "");
    return Number.isFinite(value) && value >= 0 ? value : null;
  };
  return { t: number("t"), scene: number("scene"), element: number("element"), track: said.get("track") };
}

/**
 * @param {string} id
 * @param {Place} place
 */
export function hashOf(id, place) {
  const said = new URLSearchParams();
  if (place.t !== null) said.set("t", String(Math.round(place.t * 1000) / 1000));
  if (place.scene !== null) said.set("scene", String(place.scene));
  if (place.element !== null) said.set("element", String(place.element));
  if (place.track !== null) said.set("track", place.track);
  const query = said.toString();
  return `#/videos/${encodeURIComponent(id)}${query ? `?${query}` : ""}`;
}
