/**
 * What the screen that is shown says of itself to the shell: its title, whether demonstration models made what is on it, and its own help.
 * What belongs here: that. What does not: drawing it (`main`).
 */
import { useEffect } from "./html.js";
import { Store } from "./store.js";

export const shown = new Store({ title: "", demo: false, help: /** @type {(() => void) | null} */ (null) });

/**
 * Called by a screen. @param {string} title @param {boolean} [demo] whether demonstration models made what it shows
 */
export function useShown(title, demo = false) {
  useEffect(() => {
    document.title = `${title} · Reframer`;
    shown.change({ title, demo });
  }, [title, demo]);
  useEffect(() => () => shown.change({ demo: false }), []);
}
