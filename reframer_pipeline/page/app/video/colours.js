/**
 * Colours of tracks: the same as in the pictures that the server draws (`vision/drawing.py`), so that a track has one colour everywhere.
 */

/** @type {Map<string, [number, number, number]>} */
const known = new Map();

/**
 * Red, green and blue of a track, 0 to 255: hues a golden angle apart by the number in its id.
 * @param {string} trackId
 * @returns {[number, number, number]}
 */
export function colourOf(trackId) {
  let colour = known.get(trackId);
  if (!colour) {
    const number = Number.parseInt(trackId.match(/(\d+)$/)?.[1] ?? "0", 10);
    colour = fromHsv((number * 0.618034 + 0.05) % 1, 0.75, 1);
    known.set(trackId, colour);
  }
  return colour;
}

/**
 * The same for CSS.
 * @param {string} trackId
 * @param {number} [alpha]
 */
export function cssOf(trackId, alpha = 1) {
  const [red, green, blue] = colourOf(trackId);
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/**
 * Black or white, whichever reads better on a colour (luma of ITU-R BT.601).
 * @param {[number, number, number]} colour
 */
export function inkOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 110 ? "#000" : "#fff";
}

/**
 * @param {number} hue 0 to 1
 * @param {number} saturation 0 to 1
 * @param {number} value 0 to 1
 * @returns {[number, number, number]}
 */
function fromHsv(hue, saturation, value) {
  const part = (/** @type {number} */ n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}
