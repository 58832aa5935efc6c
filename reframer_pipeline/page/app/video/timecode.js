/**
 * Timecode, HH:MM:SS:FF, as editing programs count: the same rule as `media/timecode.py`, which says it in full.
 *
 * What belongs here: from frames and seconds to that text. What does not: which frame is shown (`times.js`).
 */

/** @type {Record<number, number>} numbers left out a minute, by nominal rate; rates of 1000/1001 of these */
const DROPPED = { 30: 2, 60: 4 };
const NEAR = 1e-4; // relative

/** @param {number} rate @param {number} whole */
const near = (rate, whole) => Math.abs(rate - whole) < NEAR * whole;

/** @param {number} value @param {number} digits */
const padded = (value, digits = 2) => String(value).padStart(digits, "0");

/**
 * What a frame of a video of constant rate is called.
 * @param {number} frame from zero
 * @param {number} rate frames a second
 */
export function timecode(frame, rate) {
  const count = Math.max(1, Math.round(rate));
  const lost = near((rate * 1001) / 1000, count) ? (DROPPED[count] ?? 0) : 0;
  let number = frame;
  if (lost) {
    const tens = Math.floor(frame / (600 * count - 9 * lost));
    const rest = frame % (600 * count - 9 * lost);
    number += lost * (9 * tens + (rest < 60 * count ? 0 : Math.floor((rest - 60 * count) / (60 * count - lost)) + 1));
  }
  const seconds = Math.floor(number / count);
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map((one) => padded(one)).join(":");
  return `${clock}${lost ? ";" : ":"}${padded(number % count, Math.max(2, String(count - 1).length))}`;
}

/**
 * How the frames of a video are called: counted where the rate is constant and a usual one, else by their time.
 * @param {ArrayLike<number>} seconds of every frame, since the first
 * @param {number} rate average frames a second
 * @returns {(frame: number) => string}
 */
export function timecodes(seconds, rate) {
  const count = Math.max(1, Math.round(rate));
  let counts = near(rate, count) || near((rate * 1001) / 1000, count);
  for (let frame = 0; counts && frame < seconds.length; frame += 1) counts = Math.abs(seconds[frame] * rate - frame) <= 0.5;
  return (frame) => (counts ? timecode(frame, rate) : timecode(Math.floor((seconds[frame] ?? 0) * count + 1e-3), count));
}
