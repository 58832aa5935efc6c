/**
 * Boxes, masks and ids on a canvas over the film.
 *
 * What belongs here: drawing what is in view, and finding what is under the pointer. What does not: what is in view (`sightings.js`).
 *
 * A measured box has a solid line, one between sampled frames a dashed one and no mask.
 *
 * @typedef {import("./shapes").Seen} Seen
 * @typedef {import("./shapes").MaskPicture} MaskPicture
 * @typedef {import("./shapes").View} View
 */
import { colourOf, cssOf, inkOn } from "./colours.js";
import { outline } from "./crop.js";

const DASH = [5, 4]; // CSS pixels
const SMALL = 8; // CSS pixels on each side of a box that still belong to it for the pointer

export class Overlay {
  /**
   * @param {HTMLCanvasElement} canvas covers the film exactly
   * @param {number} width of the video, pixels
   * @param {number} height of the video, pixels
   */
  constructor(canvas, width, height) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.size = { width, height };
    /** @type {Seen[]} what was drawn last, the weakest first */
    this.drawn = [];
    this.scale = { x: 1, y: 1 };
    this.shown = { width: 1, height: 1 }; // the canvas, CSS pixels
    /** @type {Map<string, number>} of texts, CSS pixels */
    this.widths = new Map();
    this.fit();
  }

  /** Take on the size that the canvas is shown at. */
  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.pen.setTransform(this.canvas.width / Math.max(clientWidth, 1), 0, 0, this.canvas.height / Math.max(clientHeight, 1), 0, 0);
    this.scale = { x: clientWidth / this.size.width, y: clientHeight / this.size.height };
    this.shown = { width: clientWidth, height: clientHeight };
    this.widths.clear();
  }

  /**
   * @param {Seen[]} seen all that is in view
   * @param {MaskPicture[]} masks of this frame
   * @param {View} view
   * @param {import("./crop.js").Box | null} crop a window, pixels of the video
   */
  draw(seen, masks, view, crop) {
    const { pen, scale } = this;
    pen.clearRect(0, 0, this.shown.width, this.shown.height);
    this.drawn = seen.filter((one) => shown(one, view)).reverse();
    const loud = (/** @type {Seen} */ one) => one.track_id === view.track || one.track_id === view.hover;
    this.drawn.sort((a, b) => Number(loud(a)) - Number(loud(b)));
    const quiet = view.track !== null && this.drawn.some((one) => one.track_id === view.track);
    const pictures = new Map(view.masks ? masks.map((one) => [one.detection_id, one]) : []);
    for (const one of this.drawn) {
      const mask = one.measured ? pictures.get(one.detection_id) : undefined;
      if (!mask) continue;
      pen.globalAlpha = quiet && !loud(one) ? 0.5 : 1;
      pen.drawImage(mask.bitmap, mask.x * scale.x, mask.y * scale.y, mask.width * scale.x, mask.height * scale.y);
    }
    pen.globalAlpha = 1;
    if (crop) outline(pen, this.place(crop), this.shown);
    if (view.boxes) for (const one of this.drawn) this.box(one, loud(one), quiet && !loud(one));
    pen.globalAlpha = 1;
    if (view.ids) this.labels(quiet, loud);
  }

  /**
   * The rectangle of a box on the canvas, CSS pixels.
   * @param {{ x: number, y: number, width: number, height: number }} one
   */
  place(one) {
    const { x, y } = this.scale;
    return { x: one.x * x, y: one.y * y, width: one.width * x, height: one.height * y };
  }

  /**
   * What is at a point of the canvas: of boxes that overlap, the smallest.
   * @param {number} x CSS pixels
   * @param {number} y CSS pixels
   * @returns {Seen | null}
   */
  under(x, y) {
    let best = null;
    let least = Infinity;
    for (const one of this.drawn) {
      const box = this.place(one);
      const slack = Math.max(0, (SMALL - Math.min(box.width, box.height)) / 2);
      const inside = x >= box.x - slack && x <= box.x + box.width + slack && y >= box.y - slack && y <= box.y + box.height + slack;
      if (inside && box.width * box.height < least) [best, least] = [one, box.width * box.height];
    }
    return best;
  }

  /**
   * @param {Seen} one
   * @param {boolean} loud
   * @param {boolean} quiet
   */
  box(one, loud, quiet) {
    const { pen } = this;
    const { x, y, width, height } = this.place(one);
    pen.globalAlpha = quiet ? 0.65 : 1;
    pen.setLineDash(one.measured ? [] : DASH);
    pen.lineWidth = loud ? 4.5 : 3; // a dark rim, so that the line is seen on any ground
    pen.strokeStyle = "rgb(0 0 0 / 0.45)";
    pen.strokeRect(x, y, width, height);
    pen.lineWidth = loud ? 3 : 1.5;
    pen.strokeStyle = cssOf(one.track_id);
    pen.strokeRect(x, y, width, height);
    pen.setLineDash([]);
  }

  /**
   * @param {boolean} quiet
   * @param {(one: Seen) => boolean} loud
   */
  labels(quiet, loud) {
    const { pen } = this;
    const canvas = this.shown;
    const wide = canvas.width >= 520;
    const line = wide ? 17 : 14;
    pen.font = `600 ${wide ? 12 : 10}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    /** @type {{ x: number, y: number, width: number, height: number }[]} */
    const taken = [];
    for (const one of [...this.drawn].reverse()) {
      const box = this.place(one);
      const text = wide ? `${one.track_id} ${one.label}` : `${numberOf(one.track_id)} ${one.label}`;
      const width = Math.min(this.widthOf(text) + 8, canvas.width);
      const x = Math.min(Math.max(box.x - 1, 0), canvas.width - width);
      const places = [box.y - line, box.y, box.y + box.height, box.y + box.height - line];
      const free = places
        .map((y) => ({ x, y, width, height: line }))
        .find((place) => this.inside(place) && !taken.some((other) => meet(place, other)));
      const label = free ?? { x, y: Math.min(Math.max(box.y - line, 0), canvas.height - line), width, height: line };
      taken.push(label);
      pen.globalAlpha = quiet && !loud(one) ? 0.65 : one.measured ? 1 : 0.8;
      pen.fillStyle = cssOf(one.track_id);
      pen.fillRect(label.x, label.y, label.width, label.height);
      pen.fillStyle = inkOn(colourOf(one.track_id));
      pen.fillText(text, label.x + 4, label.y + line / 2 + 0.5);
    }
    pen.globalAlpha = 1;
  }

  /** @param {string} text */
  widthOf(text) {
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, (width = this.pen.measureText(text).width));
    return width;
  }

  /** @param {{ y: number, height: number }} place */
  inside({ y, height }) {
    return y >= 0 && y + height <= this.shown.height;
  }
}

/**
 * Whether it is to be drawn.
 * @param {{ track_id: string, class: import("./shapes").Class }} one
 * @param {View} view
 */
export function shown(one, view) {
  return view[one.class] && !view.hidden.has(one.track_id);
}

/**
 * `7` of `obj_007`.
 * @param {string} trackId
 */
export function numberOf(trackId) {
  return trackId.replace(/^obj_0*/, "");
}

/**
 * @param {{ x: number, y: number, width: number, height: number }} a
 * @param {{ x: number, y: number, width: number, height: number }} b
 */
function meet(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
