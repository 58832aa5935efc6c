/**
 * Pictures of masks on the sampled frames around the playhead, made ahead of it by the worker, and only so many held.
 *
 * What belongs here: which are asked for, and how many stay. What does not: making them (`masks.worker.js`), drawing them (`overlay.js`).
 *
 * @typedef {import("./shapes").MaskPicture} MaskPicture
 * @typedef {import("./sightings.js").Sightings} Sightings
 */
import { colourOf } from "./colours.js";
import { WINDOW } from "./sightings.js";

const BYTES = 80e6; // of pictures that are held
const WINDOWS = 6; // of run lengths that the worker holds
const PAUSE = 2000; // milliseconds before run lengths that did not come are asked for again
const AHEAD = 12; // sampled frames that are made in advance, at most

export class Masks {
  /**
   * @param {Sightings} sightings
   * @param {(from: number, to: number) => { url: string, headers: Record<string, string>, result: string | null }} ask request for the
   *   masks of a range of seconds, and the set of results that they must be of
   * @param {(frame: number) => void} changed called when a frame's masks are ready
   */
  constructor(sightings, ask, changed) {
    this.sightings = sightings;
    this.times = sightings.times;
    this.ask = ask;
    this.changed = changed;
    /** @type {Map<number, MaskPicture[] | null>} pictures by frame; null while they are made */
    this.frames = new Map();
    /** @type {Set<number>} windows that the worker has or fetches */
    this.windows = new Set();
    this.bytes = 0;
    this.near = 0;
    this.again = 0;
    this.worker = new Worker(new URL("./masks.worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => (data.kind === "drawn" ? this.take(data) : this.lost(data.window));
  }

  /**
   * Masks of a sampled frame, or null while they are not ready.
   * @param {number} frame
   */
  at(frame) {
    return this.frames.get(frame) ?? null;
  }

  /**
   * Have those made that will be needed soon.
   * @param {number} frame
   * @param {number} ahead seconds; negative: backwards
   */
  want(frame, ahead) {
    const { times } = this;
    this.near = frame;
    const until = times.seconds[frame] + ahead;
    const by = ahead < 0 ? -1 : 1;
    let place = times.sampledPlace(frame);
    if (by > 0 && times.sampled[place] !== frame) place += 1;
    for (let n = 0; n < AHEAD; n++, place += by) {
      const one = times.sampled[place];
      if (one === undefined || (n > 0 && (times.seconds[one] - until) * by > 0)) break;
      this.make(one);
    }
    this.load(this.sightings.windowOf(frame) + by); // the next run lengths are fetched while these are drawn
  }

  /** @param {number} frame */
  make(frame) {
    if (this.frames.has(frame)) return;
    const seen = this.sightings.measured(frame);
    if (!seen) return;
    const window = this.sightings.windowOf(frame);
    this.load(window);
    this.frames.set(frame, null);
    this.worker.postMessage({ kind: "draw", frame, window, colours: seen.map((one) => [one.detection_id, colourOf(one.track_id)]) });
  }

  /** @param {number} window */
  load(window) {
    if (this.windows.has(window) || window < 0 || window * WINDOW > this.times.duration) return;
    this.windows.add(window);
    this.worker.postMessage({ kind: "load", window, ...this.ask(window * WINDOW, (window + 1) * WINDOW) });
    const now = this.sightings.windowOf(this.near);
    for (const far of [...this.windows].sort((a, b) => Math.abs(b - now) - Math.abs(a - now)).slice(0, -WINDOWS)) {
      this.windows.delete(far);
      this.worker.postMessage({ kind: "drop", window: far });
    }
  }

  /** @param {{ frame: number, masks: MaskPicture[] | null }} made */
  take({ frame, masks }) {
    if (!masks) return void this.frames.delete(frame);
    this.frames.set(frame, masks);
    this.bytes += bytesOf(masks);
    this.forget();
    this.changed(frame);
  }

  /** @param {number} window */
  lost(window) {
    this.again = setTimeout(() => {
      this.windows.delete(window);
      this.want(this.near, 0);
    }, PAUSE);
  }

  /** Let go of the pictures farthest away. */
  forget() {
    if (this.bytes <= BYTES) return;
    const far = [...this.frames].sort(([a], [b]) => Math.abs(b - this.near) - Math.abs(a - this.near));
    for (const [frame, masks] of far) {
      if (this.bytes <= BYTES || frame === this.near) return;
      if (!masks) continue;
      this.frames.delete(frame);
      this.bytes -= bytesOf(masks);
      for (const one of masks) one.bitmap.close();
    }
  }

  /** End the worker and let go of everything. */
  close() {
    clearTimeout(this.again);
    this.worker.terminate();
    for (const masks of this.frames.values()) for (const one of masks ?? []) one.bitmap.close();
    this.frames.clear();
  }
}

/** @param {MaskPicture[]} masks */
function bytesOf(masks) {
  return masks.reduce((sum, one) => sum + 4 * one.bitmap.width * one.bitmap.height, 0);
}
