/**
 * Masks off the main thread: fetches their run lengths by windows of time, and makes pictures of those that are asked for.
 *
 * What belongs here: run lengths to ImageBitmap. What does not: which masks are needed when (`masks.js`).
 *
 * COCO run lengths go down the columns and begin with zeros. A picture holds only the rectangle that has pixels; of large videos every
 * second or third pixel is enough, since the screen shows no more.
 *
 * @typedef {{ frame: number, id: string, rle: string, width: number, height: number }} Row
 * @typedef {{ window: number, url: string, headers: Record<string, string>, result: string | null }} Load `result`: the set that they must be of
 * @typedef {{ frame: number, window: number, colours: [string, [number, number, number]][] }} Draw
 */

const FILL = 95; // alpha inside, of 255
const EDGE = 235; // alpha of the outline
const LONGEST = 1600; // pixels: above, pictures are made of fewer

/** @type {Map<number, Promise<Map<number, Row[]>>>} */
const windows = new Map();

/** @type {any} */ (globalThis).onmessage = async (/** @type {MessageEvent} */ { data }) => {
  if (data.kind === "load") load(data);
  else if (data.kind === "drop") windows.delete(data.window);
  else if (data.kind === "draw") await draw(data);
};

/** @param {Load} asked */
function load(asked) {
  if (windows.has(asked.window)) return;
  const rows = fetched(asked);
  windows.set(asked.window, rows);
  rows.catch((error) => {
    windows.delete(asked.window);
    say({ kind: "failed", window: asked.window, message: String(error) });
  });
}

/**
 * @param {Load} asked
 * @returns {Promise<Map<number, Row[]>>}
 */
async function fetched({ url, headers, result }) {
  /** @type {Map<number, Row[]>} */
  const frames = new Map();
  const address = new URL(url);
  for (;;) {
    const answer = await fetch(address, { headers, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`masks: ${answer.status}`);
    const page = await answer.json();
    if (page.result_id !== result) throw new Error("masks: of another set");
    for (const row of page.masks) {
      const one = { frame: row.frame_number, id: row.detection_id, rle: row.mask_rle, width: row.frame_width, height: row.frame_height };
      const there = frames.get(one.frame);
      if (there) there.push(one);
      else frames.set(one.frame, [one]);
    }
    if (!page.next) return frames;
    address.searchParams.set("cursor", page.next);
  }
}

/** @param {Draw} asked */
async function draw({ frame, window, colours }) {
  const frames = await windows.get(window)?.catch(() => null);
  if (!frames) return say({ kind: "drawn", frame, masks: null });
  const colourOf = new Map(colours);
  const masks = [];
  for (const row of frames.get(frame) ?? []) {
    const colour = colourOf.get(row.id);
    const made = colour && pixels(row.rle, row.width, row.height, colour);
    if (!made) continue;
    const { image, ...place } = made;
    masks.push({ detection_id: row.id, ...place, bitmap: await createImageBitmap(image) });
  }
  say({ kind: "drawn", frame, masks }, masks.map((one) => one.bitmap));
}

/**
 * @param {object} message
 * @param {Transferable[]} [given]
 */
function say(message, given = []) {
  /** @type {any} */ (globalThis).postMessage(message, given);
}

/**
 * The picture of a mask; null if no pixel is set.
 * @param {string} rle
 * @param {number} width of the video
 * @param {number} height of the video
 * @param {[number, number, number]} colour
 */
export function pixels(rle, width, height, colour) {
  const runs = rle.split(",");
  const step = Math.ceil(Math.max(width, height) / LONGEST);
  let [left, right, top, bottom, at] = [width, -1, height, -1, 0];
  for (let n = 0; n < runs.length; n++) {
    const length = +runs[n];
    if (n % 2 && length) {
      const first = Math.floor(at / height);
      const last = Math.floor((at + length - 1) / height);
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = Math.min(top, first === last ? at - first * height : 0);
      bottom = Math.max(bottom, first === last ? at + length - 1 - last * height : height - 1);
    }
    at += length;
  }
  if (right < left) return null;
  left -= left % step;
  top -= top % step;
  const across = Math.floor((right - left) / step) + 1;
  const down = Math.floor((bottom - top) / step) + 1;
  const set = new Uint8Array((across + 2) * (down + 2)); // with a rim, so that every pixel has neighbours
  at = 0;
  for (let n = 0; n < runs.length; n++) {
    const length = +runs[n];
    if (n % 2) {
      for (let from = at, end = at + length; from < end; ) {
        const column = Math.floor(from / height);
        const stop = Math.min(end, (column + 1) * height);
        if ((column - left) % step === 0) {
          const x = (column - left) / step + 1;
          const begin = Math.ceil((from - column * height - top) / step);
          for (let y = begin; y * step + top < stop - column * height; y++) set[(y + 1) * (across + 2) + x] = 1;
        }
        from = stop;
      }
    }
    at += length;
  }
  const image = new ImageData(across, down);
  const data = new Uint32Array(image.data.buffer);
  const base = colour[0] | (colour[1] << 8) | (colour[2] << 16);
  const inside = (base | (FILL << 24)) >>> 0;
  const edge = (base | (EDGE << 24)) >>> 0;
  const row = across + 2;
  for (let y = 0, out = 0; y < down; y++) {
    for (let x = 0, n = (y + 1) * row + 1; x < across; x++, n++, out++) {
      if (set[n]) data[out] = set[n - 1] & set[n + 1] & set[n - row] & set[n + row] ? inside : edge;
    }
  }
  return { image, x: left, y: top, width: across * step, height: down * step };
}
