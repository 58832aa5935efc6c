/**
 * Frame number and seconds, both ways, by the table of all frames' times: right also where the frame rate varies.
 *
 * What belongs here: looking up and stepping. What does not: the browser's own clock (`player.js`).
 */
import { timecodes } from "./timecode.js";

const SHORTLY = 0.002; // seconds

export class Times {
  /**
   * @param {ArrayLike<number>} seconds of every frame, since the first; rising
   * @param {ArrayLike<number>} sampled frame numbers that were looked at; rising
   * @param {number | null} rate average frames a second, if it is known
   */
  constructor(seconds, sampled, rate = null) {
    this.seconds = Float64Array.from(seconds);
    this.sampled = Int32Array.from(sampled);
    /** What a frame is called. */
    this.timecode = timecodes(this.seconds, rate ?? (this.duration ? this.count / this.duration : 25));
  }

  /** How many frames there are. */
  get count() {
    return this.seconds.length;
  }

  /** Seconds at which the last frame ends: it is shown as long as the one before it. */
  get duration() {
    return this.count ? this.end(this.count - 1) : 0;
  }

  /**
   * When a frame is followed by the next.
   * @param {number} frame
   */
  end(frame) {
    const { seconds, count } = this;
    if (frame + 1 < count) return seconds[frame + 1];
    return seconds[count - 1] + (count > 1 ? Math.max(seconds[count - 1] - seconds[count - 2], 1e-3) : 1 / 30);
  }

  /**
   * The frame that is shown at a time: the last that has begun.
   * @param {number} time seconds
   */
  at(time) {
    return Math.min(Math.max(after(this.seconds, time) - 1, 0), Math.max(this.count - 1, 0));
  }

  /**
   * The frame whose own time is nearest: for a time that a browser says of a frame, which it rounds.
   * @param {number} time seconds
   */
  nearest(time) {
    const frame = this.at(time);
    const next = Math.min(frame + 1, this.count - 1);
    return Math.abs(this.seconds[next] - time) < Math.abs(this.seconds[frame] - time) ? next : frame;
  }

  /**
   * Where to seek so that a frame is shown, however the browser rounds: shortly after it begins. Not in its middle: where the rate varies,
   * Chromium takes a frame to be as long as the distance to the next one in the order of decoding.
   * @param {number} frame
   */
  inside(frame) {
    return this.seconds[frame] + Math.min((this.end(frame) - this.seconds[frame]) / 2, SHORTLY);
  }

  /**
   * Place in `sampled` of the last sampled frame that is not after a frame; -1 before the first.
   * @param {number} frame
   */
  sampledPlace(frame) {
    return after(this.sampled, frame) - 1;
  }

  /**
   * The sampled frame so many steps away; the nearest in that direction counts as one step.
   * @param {number} frame
   * @param {number} steps negative: back
   */
  stepSampled(frame, steps) {
    if (!this.sampled.length) return frame;
    const place = this.sampledPlace(frame);
    const between = place < 0 || this.sampled[place] !== frame;
    const wanted = place + steps + (steps < 0 && between ? 1 : 0);
    return this.sampled[Math.min(Math.max(wanted, 0), this.sampled.length - 1)];
  }
}

/**
 * Place of the first value above a limit, in rising values (binary search).
 * @param {ArrayLike<number>} values
 * @param {number} limit
 */
export function after(values, limit) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
