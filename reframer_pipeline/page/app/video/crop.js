/**
 * The window of a reframed video: where it is in a frame, as its keyframes say (docs/reframe.md), and drawing it.
 *
 * What belongs here: that. What does not: whose window is shown (`room.js`), asking for one (`reframe.js`).
 *
 * @typedef {{ x: number, y: number, width: number, height: number }} Box
 * @typedef {{ frame: number, seconds: number, x: number, y: number }} Key
 * @typedef {{ start_frame: number, end_frame: number, window: { width: number, height: number }, keyframes: Key[] }} Shot
 */

/**
 * Where it is, in pixels of the picture; between keyframes it moves evenly in time.
 * @param {Shot[]} shots
 * @param {number} frame
 * @param {number} seconds of that frame
 * @returns {Box | null} null in a frame that is not in it
 */
export function windowAt(shots, frame, seconds) {
  const shot = shots.find((one) => frame >= one.start_frame && frame < one.end_frame);
  if (!shot) return null;
  const { keyframes, window } = shot;
  const next = keyframes.findIndex((one) => one.seconds > seconds);
  const [from, to] = next < 0 ? [keyframes[keyframes.length - 1]] : [keyframes[Math.max(next - 1, 0)], keyframes[next]];
  const share = to && to !== from ? (seconds - from.seconds) / (to.seconds - from.seconds) : 0;
  const between = (/** @type {"x" | "y"} */ side) => from[side] + (to ? (to[side] - from[side]) * share : 0);
  return { x: between("x"), y: between("y"), ...window };
}

/**
 * Draw it, and the dark around it.
 * @param {CanvasRenderingContext2D} pen
 * @param {Box} box on the canvas
 * @param {{ width: number, height: number }} whole the canvas
 */
export function outline(pen, box, whole) {
  pen.beginPath();
  pen.rect(0, 0, whole.width, whole.height);
  pen.rect(box.x, box.y, box.width, box.height);
  pen.fillStyle = "rgb(0 0 0 / 0.6)";
  pen.fill("evenodd");
  pen.lineWidth = 2;
  pen.strokeStyle = "#fff";
  pen.strokeRect(box.x + 1, box.y + 1, box.width - 2, box.height - 2);
}
