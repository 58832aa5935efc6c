/** A value that several parts of the page look at, and that tells them when it is another. What belongs here: that alone. */
import { useEffect, useState } from "./html.js";

/**
 * @template T
 * @param {T} first
 */
export function store(first) {
  let now = first;
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();
  const set = (/** @type {T} */ next) => {
    now = next;
    for (const listener of listeners) listener(now);
  };
  return {
    get: () => now,
    set,
    /** The value; the component is drawn again when it changes. @returns {T} */
    use() {
      const [value, draw] = useState(() => ({ now }));
      useEffect(() => {
        const tell = (/** @type {T} */ next) => draw({ now: next });
        listeners.add(tell);
        if (value.now !== now) tell(now);
        return () => void listeners.delete(tell);
      }, []);
      return value.now;
    },
  };
}
