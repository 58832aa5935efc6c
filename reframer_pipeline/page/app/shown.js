/**
 * What the screen that is shown says of itself to the shell: its title, and whether demonstration models made what is on it.
 * What belongs here: that, and telling who listens. What does not: drawing it (`main`).
 */
import { useEffect, useState } from "./html.js";

let now = { title: "", demo: false };
/** @type {Set<(shown: typeof now) => void>} */
const listeners = new Set();

/** @param {Partial<typeof now>} more */
function say(more) {
  now = { ...now, ...more };
  document.title = now.title ? `${now.title} · Reframer` : "Reframer";
  for (const listener of listeners) listener(now);
}

/**
 * Called by a screen. @param {string} title @param {boolean} [demo] whether demonstration models made what it shows
 */
export function useShown(title, demo = false) {
  useEffect(() => say({ title, demo }), [title, demo]);
  useEffect(() => () => say({ demo: false }), []);
}

/** Called by the shell. */
export function useWhatIsShown() {
  const [shown, set] = useState(now);
  useEffect(() => {
    listeners.add(set);
    set(now);
    return () => void listeners.delete(set);
  }, []);
  return shown;
}
