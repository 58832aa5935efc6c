/**
 * A value that several parts of the page look at, and that tells them when it is another.
 * What belongs here: that alone. What changes with every frame of a film does not pass through a whole screen: who looks at a part of the
 * value is drawn anew when that part is another.
 */
import { useEffect, useRef, useState } from "./html.js";

/** @template T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.watchers = new Set();
  }

  /** @param {T} value another one */
  set(value) {
    if (Object.is(this.value, value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher(value);
  }

  /** @param {Partial<T>} part of an object, the rest of which stays */
  change(part) {
    const names = /** @type {(keyof T)[]} */ (Object.keys(part));
    if (names.some((name) => !Object.is(this.value[name], part[name]))) this.set({ ...this.value, ...part });
  }

  /**
   * @param {(value: T) => void} watcher
   * @returns {() => void} ends it
   */
  watch(watcher) {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }
}

/**
 * A store's value, or a part of it; the component is drawn anew when that is another.
 * @template T, [P=T]
 * @param {Store<T>} store
 * @param {(value: T) => P} [part]
 * @returns {P}
 */
export function useStore(store, part = /** @type {(value: any) => any} */ (whole)) {
  const [, draw] = useState({});
  const drawn = { part, value: part(store.value) };
  const last = useRef(drawn);
  last.current = drawn;
  useEffect(() => {
    const look = () => Object.is(last.current.part(store.value), last.current.value) || draw({});
    look();
    return store.watch(look);
  }, [store]);
  return drawn.value;
}

/** @param {unknown} value */
const whole = (value) => value;
