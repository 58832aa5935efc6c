/**
 * What is in view at any frame: measured on sampled frames, told from both neighbours between them.
 *
 * What belongs here: the rule, on plain rows. What does not: fetching rows (`sightings.js`), drawing (`overlay.js`).
 *
 * A sighting stands for its `seconds`: until the next sampled frame, within its shot. Between two sampled frames its box lies on the
 * straight line to the box of the same track in the next one. Without such a box, because the track ends or the shot does, it stays where
 * it was for as long as it stands for.
 *
 * @typedef {import("./shapes").Sighting} Sighting
 * @typedef {import("./shapes").Seen} Seen
 */

const SAME = 1e-3; // seconds: times are rounded

/**
 * @param {Sighting[]} before sightings of the last sampled frame that is not after the time
 * @param {Sighting[] | null} next of the sampled frame that follows; null on a sampled frame itself
 * @param {number} time seconds
 * @returns {Seen[]}
 */
export function seenAt(before, next, time) {
  if (next === null) return before.map((one) => ({ ...one, measured: true }));
  const following = new Map(next.map((one) => [one.track_id, one]));
  const seen = [];
  for (const one of before) {
    const end = one.timestamp + (one.seconds ?? 0);
    if (time >= end - SAME / 2) continue;
    const other = following.get(one.track_id);
    const joined = other !== undefined && other.timestamp <= end + SAME;
    seen.push({ ...one, ...(joined ? onTheWay(one, other, time) : {}), measured: false });
  }
  return seen;
}

/**
 * @param {Sighting} a
 * @param {Sighting} b
 * @param {number} time
 */
function onTheWay(a, b, time) {
  const share = (time - a.timestamp) / (b.timestamp - a.timestamp);
  const mix = (/** @type {number} */ from, /** @type {number} */ to) => from + (to - from) * share;
  return { x: mix(a.x, b.x), y: mix(a.y, b.y), width: mix(a.width, b.width), height: mix(a.height, b.height) };
}
