/**
 * Where things stand on the timeline: ruler, scenes, and a lane a track with its elements; and what is under a point.
 *
 * What belongs here: places. What does not: drawing (`drawing.js`), which part of the film is in view (`strip.js`).
 *
 * A lane lasts from its track's first to its last sighting. An element that no track was found for has a lane of its own.
 *
 * @typedef {import("./shapes").Results} Results
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Scene} Scene
 * @typedef {import("./shapes").Track} Track
 * @typedef {{ track: Track | null, elements: Element[], start: number, end: number }} Lane
 * @typedef {{ part: "ruler" | "scenes" | "lane", seconds: number, gutter: boolean, scene: Scene | null, lane: Lane | null,
 *   element: Element | null }} Hit
 */
export const RULER = 22; // CSS pixels, as all that follow
export const SCENES = 38;
export const HEAD = RULER + SCENES;
export const LANE = 20;

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
