/**
 * The timeline's drawing: ruler, scenes, and a lane a track with its elements; only what is in view.
 *
 * What belongs here: where things stand, and what is under a point. What does not: scrolling, zooming and pointers (`timeline.js`).
 *
 * A track's lane is thin from its first to its last sighting, and thick where it is an element of a scene, with the element's difficulty
 * below.
 * An element that no track was found for has a lane of its own.
 *
 * @typedef {import("./shapes").Results} Results
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Scene} Scene
 * @typedef {import("./shapes").Track} Track
 * @typedef {import("./shapes").View} View
 * @typedef {{ track: Track | null, elements: Element[], start: number, end: number }} Lane
 * @typedef {{ part: "ruler" | "scenes" | "lane", seconds: number, gutter: boolean, scene: Scene | null, lane: Lane | null,
 *   element: Element | null }} Hit
 */
import { length, moment } from "../format.js";
import { colourOf, cssOf, inkOn } from "./colours.js";
import { numberOf, shown } from "./overlay.js";

export const RULER = 22;
export const SCENES = 38;
export const HEAD = RULER + SCENES;
export const LANE = 20;
const STEPS = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
const TEXT = "system-ui, sans-serif";

export class Lanes {
  /**
   * @param {Results} results
   * @param {number} duration seconds
   */
  constructor(results, duration) {
    this.results = results;
    this.duration = duration;
    this.lanes = lanesOf(results);
    this.width = 0;
    this.height = 0;
    this.gutter = 0;
    this.left = 0; // scrolled, CSS pixels
    this.top = 0;
    this.scale = 1; // CSS pixels a second
    /** @type {Lane[]} those with something in the range */
    this.visible = [];
  }

  /** Seconds at both ends of what is in view. */
  get range() {
    const from = this.left / this.scale;
    return { from, to: from + (this.width - this.gutter) / this.scale };
  }

  /** @param {number} seconds */
  x(seconds) {
    return this.gutter + seconds * this.scale - this.left;
  }

  /** @param {number} x */
  seconds(x) {
    return Math.min(Math.max((x - this.gutter + this.left) / this.scale, 0), this.duration);
  }

  /** Choose the lanes that have something in the range. */
  choose() {
    const { from, to } = this.range;
    this.visible = this.lanes.filter((one) => one.start < to && one.end > from);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {View} view
   * @param {(name: string) => string} paint CSS colour by name
   */
  draw(pen, view, paint) {
    pen.clearRect(0, 0, this.width, this.height);
    const first = Math.max(0, Math.floor(this.top / LANE));
    const last = Math.min(this.visible.length, Math.ceil((this.top + this.height - HEAD) / LANE));
    for (let n = first; n < last; n++) this.lane(pen, this.visible[n], HEAD + n * LANE - this.top, n, view, paint);
    this.cuts(pen, paint);
    pen.fillStyle = paint("surface");
    pen.fillRect(0, 0, this.width, HEAD);
    this.ruler(pen, paint);
    for (const scene of this.results.scenes) this.scene(pen, scene, view, paint);
    pen.fillStyle = paint("surface");
    pen.fillRect(0, 0, this.gutter, HEAD);
    pen.fillStyle = paint("line");
    pen.fillRect(this.gutter - 1, 0, 1, this.height);
    pen.fillRect(0, HEAD - 1, this.width, 1);
    this.names(pen, paint);
  }

  /**
   * What is at a point.
   * @param {number} x
   * @param {number} y
   * @returns {Hit}
   */
  hit(x, y) {
    const seconds = this.seconds(x);
    const gutter = x < this.gutter;
    const part = y < RULER ? "ruler" : y < HEAD ? "scenes" : "lane";
    const scene = this.results.scenes.find((one) => seconds >= one.start_seconds && seconds < one.end_seconds) ?? null;
    const lane = (part === "lane" && this.visible[Math.floor((y - HEAD + this.top) / LANE)]) || null;
    const inside = lane !== null && !gutter && seconds >= lane.start - 3 / this.scale && seconds <= lane.end + 3 / this.scale;
    const element = inside ? (lane.elements.find((one) => seconds >= one.start_seconds && seconds < one.end_seconds) ?? null) : null;
    return { part, seconds, gutter, scene, lane: gutter || inside ? lane : null, element };
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(name: string) => string} paint
   */
  ruler(pen, paint) {
    const { from, to } = this.range;
    const step = STEPS.find((one) => one * this.scale >= 70) ?? 7200;
    pen.font = `11px ${TEXT}`;
    pen.textBaseline = "middle";
    for (let n = Math.floor(from / step); n * step <= Math.min(to, this.duration); n++) {
      const x = Math.round(this.x(n * step));
      pen.fillStyle = paint("line");
      pen.fillRect(x, 4, 1, RULER - 4);
      for (let part = 1; part < 5; part++) pen.fillRect(Math.round(x + (part * step * this.scale) / 5), RULER - 5, 1, 5);
      pen.fillStyle = paint("dim");
      pen.fillText((step < 1 ? moment : length)(n * step), x + 4, 10);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Scene} scene
   * @param {View} view
   * @param {(name: string) => string} paint
   */
  scene(pen, scene, view, paint) {
    const left = Math.max(this.x(scene.start_seconds), this.gutter);
    const right = Math.min(this.x(scene.end_seconds), this.width);
    if (right <= left) return;
    const width = Math.max(right - left - 1, 1);
    const chosen = view.scene === scene.scene_number;
    pen.fillStyle = paint(chosen ? "accent-soft" : "raised");
    pen.fillRect(left, RULER, width, SCENES - 2);
    pen.fillStyle = paint("accent");
    pen.globalAlpha = 0.25 + 0.075 * scene.importance;
    pen.fillRect(left, HEAD - 5, width, 3); // importance, as how strong the line is
    pen.globalAlpha = 1;
    pen.save();
    pen.beginPath();
    pen.rect(left, RULER, width - 4, SCENES);
    pen.clip();
    if (width > 14) {
      pen.fillStyle = paint("text");
      pen.font = `600 11px ${TEXT}`;
      pen.fillText(String(scene.scene_number), left + 5, RULER + 10);
      const next = left + 9 + pen.measureText(String(scene.scene_number)).width;
      pen.fillStyle = paint("dim");
      pen.font = `11px ${TEXT}`;
      pen.fillText(`importance ${scene.importance}`, next, RULER + 10);
      pen.fillText(scene.description, left + 5, RULER + 24);
    }
    pen.restore();
  }

  /**
   * Cuts between scenes, down through the lanes.
   * @param {CanvasRenderingContext2D} pen
   * @param {(name: string) => string} paint
   */
  cuts(pen, paint) {
    pen.fillStyle = paint("line");
    for (const scene of this.results.scenes) {
      const x = Math.round(this.x(scene.start_seconds));
      if (x > this.gutter && x < this.width) pen.fillRect(x - 1, HEAD, 1, this.height - HEAD);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Lane} lane
   * @param {number} y
   * @param {number} n
   * @param {View} view
   * @param {(name: string) => string} paint
   */
  lane(pen, lane, y, n, view, paint) {
    const { track } = lane;
    const [first] = lane.elements;
    const chosen = track ? view.track === track.track_id : first.scene_number === view.scene && first.element_number === view.element;
    const hovered = track !== null && view.hover === track.track_id;
    if (chosen || hovered || n % 2) {
      pen.fillStyle = paint(chosen ? "accent-soft" : hovered ? "raised" : "v-stripe");
      pen.fillRect(0, y, this.width, LANE);
    }
    const off = track !== null && !shown({ track_id: track.track_id, class: track.class }, view);
    pen.globalAlpha = off ? 0.3 : 1;
    pen.save();
    pen.beginPath();
    pen.rect(this.gutter, y, this.width - this.gutter, LANE);
    pen.clip();
    if (track) {
      pen.fillStyle = cssOf(track.track_id, 0.75);
      this.bar(pen, track.start_seconds, track.end_seconds, y + 8, 4);
    }
    for (const element of lane.elements) this.element(pen, element, track, y, paint);
    pen.restore();
    pen.textBaseline = "middle";
    const name = track ? `${this.gutter > 100 ? track.track_id : numberOf(track.track_id)} ${track.label}` : lane.elements[0].label;
    if (track) {
      pen.fillStyle = cssOf(track.track_id);
      pen.fillRect(6, y + 5, 10, 10);
    } else {
      pen.strokeStyle = paint("dim");
      pen.strokeRect(6.5, y + 5.5, 9, 9);
    }
    pen.fillStyle = paint(chosen ? "text" : "dim");
    pen.font = `${chosen ? "600 " : ""}11px ${TEXT}`;
    pen.save();
    pen.beginPath();
    pen.rect(0, y, this.gutter - 4, LANE);
    pen.clip();
    pen.fillText(name, 22, y + LANE / 2 + 0.5);
    pen.restore();
    pen.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Element} element
   * @param {Track | null} track
   * @param {number} y
   * @param {(name: string) => string} paint
   */
  element(pen, element, track, y, paint) {
    const x = Math.max(this.x(element.start_seconds), this.gutter);
    const width = this.bar(pen, element.start_seconds, element.end_seconds, y + 3, 14, track ? cssOf(track.track_id) : paint("raised"));
    pen.fillStyle = paint(element.difficulty);
    this.bar(pen, element.start_seconds, element.end_seconds, y + 14, 4);
    if (width < 44) return;
    pen.fillStyle = track ? inkOn(colourOf(track.track_id)) : paint("text");
    pen.font = `600 10px ${TEXT}`;
    pen.textBaseline = "middle";
    pen.fillText(element.difficulty, x + 5, y + 8.5);
  }

  /**
   * A piece of time as a bar, at least two pixels wide; its width.
   * @param {CanvasRenderingContext2D} pen
   * @param {number} start
   * @param {number} end
   * @param {number} y
   * @param {number} height
   * @param {string} [fill]
   */
  bar(pen, start, end, y, height, fill) {
    const left = Math.max(this.x(start), this.gutter - 2);
    const right = Math.min(this.x(end) - 1, this.width);
    if (fill) pen.fillStyle = fill;
    if (right > left - 2) pen.fillRect(left, y, Math.max(right - left, 2), height);
    return right - left;
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(name: string) => string} paint
   */
  names(pen, paint) {
    pen.fillStyle = paint("dim");
    pen.font = `11px ${TEXT}`;
    pen.textBaseline = "middle";
    pen.fillText("Scenes", 6, RULER + 12);
    const tracks = this.visible.filter((one) => one.track).length;
    pen.fillText(`${tracks} ${tracks === 1 ? "track" : "tracks"}`, 6, 10);
  }
}

/**
 * @param {Results} results
 * @returns {Lane[]}
 */
function lanesOf({ tracks, elements }) {
  /** @type {Map<string, Element[]>} */
  const byTrack = new Map();
  /** @type {Lane[]} */
  const lanes = [];
  for (const element of elements) {
    for (const track of element.track_ids) byTrack.set(track, [...(byTrack.get(track) ?? []), element]);
    if (!element.track_ids.length) lanes.push({ track: null, elements: [element], start: element.start_seconds, end: element.end_seconds });
  }
  for (const track of tracks) {
    lanes.push({ track, elements: byTrack.get(track.track_id) ?? [], start: track.start_seconds, end: track.end_seconds });
  }
  return lanes.sort((a, b) => a.start - b.start || Number(b.elements.length > 0) - Number(a.elements.length > 0));
}
