/**
 * Sightings around the playhead: fetched by windows of time, ahead of it, and only so many held.
 *
 * What belongs here: which windows are there, and what is in view at a frame. What does not: masks (`masks.js`), drawing (`overlay.js`).
 *
 * @typedef {import("./shapes").Sighting} Sighting
 * @typedef {import("./shapes").Seen} Seen
 * @typedef {import("./times.js").Times} Times
 */
import { seenAt } from "./between.js";

export const WINDOW = 4; // seconds; a power of two, so that its multiples are exact
const HELD = 24; // windows
const PAUSE = 2000; // milliseconds before a window that failed is asked for again

export class Sightings {
  /**
   * @param {Times} times
   * @param {(from: number, to: number) => Promise<Sighting[]>} fetch sightings of a range of seconds
   * @param {() => void} changed called when a window has come, and when one that did not come may be asked for again
   */
  constructor(times, fetch, changed) {
    this.times = times;
    this.fetch = fetch;
    this.changed = changed;
    /** @type {Map<number, { rows: Map<number, Sighting[]> | null }>} by number; null while they are fetched */
    this.windows = new Map();
  }

  /**
   * Fetch what will be needed soon.
   * @param {number} frame
   * @param {number} ahead seconds; negative: backwards
   */
  want(frame, ahead) {
    const now = this.windowOf(frame);
    const last = Math.floor((this.times.seconds[frame] + ahead) / WINDOW);
    for (let one = now; ; one += ahead < 0 ? -1 : 1) {
      this.load(one);
      if (one === last) break;
    }
    const next = this.times.sampled[this.times.sampledPlace(frame) + 1];
    if (next !== undefined) this.load(this.windowOf(next));
    this.forget(now);
  }

  /**
   * Sightings of a sampled frame, or null while they are not there yet.
   * @param {number} frame
   */
  measured(frame) {
    const rows = this.windows.get(this.windowOf(frame))?.rows;
    return rows ? (rows.get(frame) ?? []) : null;
  }

  /**
   * What is in view at a frame, or null while it is not known yet.
   * @param {number} frame
   * @returns {Seen[] | null}
   */
  at(frame) {
    const { times } = this;
    const place = times.sampledPlace(frame);
    if (place < 0) return [];
    const before = this.measured(times.sampled[place]);
    if (!before) return null;
    if (times.sampled[place] === frame) return seenAt(before, null, times.seconds[frame]);
    const next = place + 1 < times.sampled.length ? this.measured(times.sampled[place + 1]) : [];
    return next && seenAt(before, next, times.seconds[frame]);
  }

  /** @param {number} frame */
  windowOf(frame) {
    return Math.floor(this.times.seconds[frame] / WINDOW);
  }

  /** @param {number} number */
  load(number) {
    if (number < 0 || number * WINDOW > this.times.duration) return;
    if (this.windows.has(number)) return;
    const held = { rows: /** @type {Map<number, Sighting[]> | null} */ (null) };
    this.windows.set(number, held);
    const meant = () => this.windows.get(number) === held;
    this.fetch(number * WINDOW, (number + 1) * WINDOW).then(
      (rows) => {
        held.rows = byFrame(rows);
        if (meant()) this.changed();
      },
      () =>
        setTimeout(() => {
          if (meant()) this.windows.delete(number);
          this.changed();
        }, PAUSE),
    );
  }

  /**
   * Let go of the windows farthest away.
   * @param {number} now
   */
  forget(now) {
    if (this.windows.size <= HELD) return;
    const far = [...this.windows.keys()].sort((a, b) => Math.abs(b - now) - Math.abs(a - now));
    for (const number of far.slice(0, this.windows.size - HELD)) this.windows.delete(number);
  }
}

/**
 * @param {Sighting[]} rows
 * @returns {Map<number, Sighting[]>}
 */
function byFrame(rows) {
  const frames = new Map();
  for (const row of rows) {
    const there = frames.get(row.frame_number);
    if (there) there.push(row);
    else frames.set(row.frame_number, [row]);
  }
  return frames;
}
