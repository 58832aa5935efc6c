/**
 * How the lists beside the film are turned over, filtered and ordered: what may be chosen, in words.
 *
 * What belongs here: the choices. What does not: what is chosen now (`room.js`), the address (`address.js`), the lists themselves.
 *
 * @typedef {import("./shapes").Lists} Lists
 */

/**
 * By name; "" is meant where an address says nothing.
 * @type {Record<Exclude<keyof Lists, "find">, Record<string, string>>}
 */
export const CHOICES = {
  tab: { "": "Elements", scenes: "Scenes", tracks: "Tracks", review: "Review", editing: "Editing", made: "Stages" },
  of: { "": "This scene", film: "Whole film" },
  sort: { "": "Easiest first", seconds: "Longest in view", time: "In order of time" },
  class: { "": "All", product: "Products", person: "People" },
};

/** @type {Lists} */
export const UNTOUCHED = { tab: "", of: "", sort: "", class: "", find: "" };

/**
 * Those that were said; what is no choice counts as not said.
 * @param {URLSearchParams} said
 * @returns {Lists}
 */
export function listsOf(said) {
  const lists = { ...UNTOUCHED, find: said.get("find") ?? "" };
  for (const name of /** @type {(keyof typeof CHOICES)[]} */ (Object.keys(CHOICES))) {
    const value = said.get(name) ?? "";
    if (Object.hasOwn(CHOICES[name], value)) lists[name] = value;
  }
  return lists;
}
