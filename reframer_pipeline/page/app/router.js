/**
 * Addresses after `#`, so that any static host serves them: `#/videos/ID?t=4.21`.
 * What belongs here: reading and writing them. What does not: which screen an address has (`main`).
 */
import { useEffect, useState } from "./html.js";

/**
 * @typedef {object} Route
 * @property {string[]} path its parts, decoded
 * @property {URLSearchParams} params
 */

/** @returns {Route} */
export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), params: new URLSearchParams(query) };
}

/** The route that is shown; the component is drawn again when it changes. @returns {Route} */
export function useRoute() {
  const [now, set] = useState(route);
  useEffect(() => {
    const changed = () => set(route());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return now;
}

/**
 * An address, such as `#/search?in=tracks`; null, "" and undefined are left out. @param {string} path
 * @param {Record<string, string | number | null | undefined>} [params] @returns {string}
 */
export function link(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  return `#${path}${query.size ? `?${query}` : ""}`;
}

/**
 * Go there. With `replace` the address changes in place: no step of the browser's history, and nothing is drawn anew unless `draw`.
 * @param {string} address @param {{replace?: boolean, draw?: boolean}} [options]
 */
export function go(address, { replace = false, draw = false } = {}) {
  if (!replace) location.hash = address;
  else history.replaceState(null, "", address);
  if (draw) dispatchEvent(new HashChangeEvent("hashchange"));
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
