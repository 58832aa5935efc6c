/**
 * A value that others watch: the playhead and the selection change too often to pass through the whole screen.
 */
import { useEffect, useState } from "../html.js";

/** @template {object} T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.watchers = new Set();
  }

  /** @param {Partial<T>} change */
  set(change) {
    const keys = /** @type {(keyof T)[]} */ (Object.keys(change));
    if (keys.every((key) => Object.is(this.value[key], change[key]))) return;
    this.value = { ...this.value, ...change };
    for (const watcher of [...this.watchers]) watcher(this.value);
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
 * Part of a store's value; the component is drawn anew when that part changes.
 * @template {object} T
 * @template P
 * @param {Store<T>} store
 * @param {(value: T) => P} part
 * @returns {P}
 */
export function usePart(store, part) {
  const [value, setValue] = useState(() => part(store.value));
  useEffect(() => {
    setValue(() => part(store.value));
    return store.watch((whole) => setValue(() => part(whole)));
  }, [store]);
  return value;
}
