/**
 * The timeline's drawing; only what is in view.
 *
 * What belongs here: how things look on the timeline's canvas. What does not: where they stand (`lanes.js`), when to draw (`strip.js`).
 *
 * A track's lane is thin from its first to its last sighting, and thick where it is an element of a scene, with the element's
 * difficulty below.
 *
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Scene} Scene
 * @typedef {import("./shapes").Track} Track
 * @typedef {import("./shapes").View} View
 * @typedef {import("./lanes.js").Lane} Lane
 */
import { length, moment } from "../format.js";
import { colourOf, cssOf, inkOn } from "./colours.js";
import { HEAD, LANE, RULER, SCENES } from "./lanes.js";
import { numberOf, shown } from "./overlay.js";

const STEPS = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]; // seconds between two marks of the ruler
const TEXT = "system-ui, sans-serif";

export class Drawing {
  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {import("./lanes.js").Lanes} lanes
   * @param {(name: string) => string} paint CSS colour by name
   */
  constructor(pen, lanes, paint) {
    this.pen = pen;
    this.lanes = lanes;
    this.paint = paint;
  }

  /** @param {View} view */
  draw(view) {
    const { pen, lanes, paint } = this;
    const { width, height, gutter, top, visible } = lanes;
    pen.clearRect(0, 0, width, height);
    const first = Math.max(0, Math.floor(top / LANE));
    const last = Math.min(visible.length, Math.ceil((top + height - HEAD) / LANE));
    for (let n = first; n < last; n++) this.lane(visible[n], n, view);
    this.cuts();
    pen.fillStyle = paint("surface");
    pen.fillRect(0, 0, width, HEAD);
    this.ruler();
    for (const scene of lanes.results.scenes) this.scene(scene, view.scene === scene.scene_number);
    pen.fillStyle = paint("surface");
    pen.fillRect(0, 0, gutter, HEAD);
    pen.fillStyle = paint("line");
    pen.fillRect(gutter - 1, 0, 1, height);
    pen.fillRect(0, HEAD - 1, width, 1);
    this.names();
  }

  ruler() {
    const { pen, lanes, paint } = this;
    const { from, to } = lanes.range;
    const step = STEPS.find((one) => one * lanes.scale >= 70) ?? 7200;
    this.font("");
    for (let n = Math.floor(from / step); n * step <= Math.min(to, lanes.duration); n++) {
      const x = Math.round(lanes.x(n * step));
      pen.fillStyle = paint("line");
      pen.fillRect(x, 4, 1, RULER - 4);
      for (let part = 1; part < 5; part++) pen.fillRect(Math.round(x + (part * step * lanes.scale) / 5), RULER - 5, 1, 5);
      pen.fillStyle = paint("dim");
      pen.fillText((step < 1 ? moment : length)(n * step), x + 4, 10);
    }
  }

  /**
   * @param {Scene} scene
   * @param {boolean} chosen
   */
  scene(scene, chosen) {
    const { pen, lanes, paint } = this;
    const left = Math.max(lanes.x(scene.start_seconds), lanes.gutter);
    const right = Math.min(lanes.x(scene.end_seconds), lanes.width);
    if (right <= left) return;
    const width = Math.max(right - left - 1, 1);
    pen.fillStyle = paint(chosen ? "accent-soft" : "raised");
    pen.fillRect(left, RULER, width, SCENES - 2);
    pen.fillStyle = paint("accent");
    pen.globalAlpha = 0.25 + 0.075 * scene.importance;
    pen.fillRect(left, HEAD - 5, width, 3); // importance, as how strong the line is
    pen.globalAlpha = 1;
    if (width <= 14) return;
    this.within(left, RULER, width - 4, SCENES, () => {
      this.font("600");
      pen.fillStyle = paint("text");
      pen.fillText(String(scene.scene_number), left + 5, RULER + 10);
      const next = left + 9 + pen.measureText(String(scene.scene_number)).width;
      this.font("");
      pen.fillStyle = paint("dim");
      pen.fillText(`importance ${scene.importance}`, next, RULER + 10);
      pen.fillText(scene.description, left + 5, RULER + 24);
    });
  }

  /** Cuts between scenes, down through the lanes. */
  cuts() {
    const { pen, lanes } = this;
    pen.fillStyle = this.paint("line");
    for (const scene of lanes.results.scenes) {
      const x = Math.round(lanes.x(scene.start_seconds));
      if (x > lanes.gutter && x < lanes.width) pen.fillRect(x - 1, HEAD, 1, lanes.height - HEAD);
    }
  }

  /**
   * @param {Lane} lane
   * @param {number} n its place among those in view
   * @param {View} view
   */
  lane(lane, n, view) {
    const { pen, paint } = this;
    const { width, gutter, top } = this.lanes;
    const y = HEAD + n * LANE - top;
    const { track, elements } = lane;
    const chosen = track ? view.track === track.track_id : elements[0].scene_number === view.scene && elements[0].element_number === view.element;
    const hovered = track !== null && view.hover === track.track_id;
    if (chosen || hovered || n % 2) {
      pen.fillStyle = paint(chosen ? "accent-soft" : hovered ? "raised" : "v-stripe");
      pen.fillRect(0, y, width, LANE);
    }
    const off = track !== null && !shown({ track_id: track.track_id, class: track.class }, view);
    pen.globalAlpha = off ? 0.3 : 1;
    this.within(gutter, y, width - gutter, LANE, () => {
      if (track) {
        pen.fillStyle = cssOf(track.track_id, 0.75);
        this.bar(track.start_seconds, track.end_seconds, y + 8, 4);
      }
      for (const element of elements) this.element(element, track, y);
    });
    if (track) {
      pen.fillStyle = cssOf(track.track_id);
      pen.fillRect(6, y + 5, 10, 10);
    } else {
      pen.strokeStyle = paint("dim");
      pen.strokeRect(6.5, y + 5.5, 9, 9);
    }
    const name = track ? `${gutter > 100 ? track.track_id : numberOf(track.track_id)} ${track.label}` : elements[0].label;
    this.within(0, y, gutter - 4, LANE, () => {
      pen.fillStyle = paint(chosen ? "text" : "dim");
      this.font(chosen ? "600" : "");
      pen.fillText(name, 22, y + LANE / 2 + 0.5);
    });
    pen.globalAlpha = 1;
  }

  /**
   * @param {Element} element
   * @param {Track | null} track
   * @param {number} y
   */
  element(element, track, y) {
    const { pen, lanes, paint } = this;
    const { start_seconds: start, end_seconds: end } = element;
    pen.fillStyle = track ? cssOf(track.track_id) : paint("raised");
    const width = this.bar(start, end, y + 3, 14);
    pen.fillStyle = paint(element.difficulty);
    this.bar(start, end, y + 14, 4);
    if (width < 44) return;
    pen.fillStyle = track ? inkOn(colourOf(track.track_id)) : paint("text");
    this.font("600", 10);
    pen.fillText(element.difficulty, Math.max(lanes.x(start), lanes.gutter) + 5, y + 8.5);
  }

  /**
   * A piece of time as a bar, at least two pixels wide; its width.
   * @param {number} start
   * @param {number} end
   * @param {number} y
   * @param {number} height
   */
  bar(start, end, y, height) {
    const { lanes } = this;
    const left = Math.max(lanes.x(start), lanes.gutter - 2);
    const right = Math.min(lanes.x(end) - 1, lanes.width);
    if (right > left - 2) this.pen.fillRect(left, y, Math.max(right - left, 2), height);
    return right - left;
  }

  names() {
    const { pen } = this;
    pen.fillStyle = this.paint("dim");
    this.font("");
    pen.fillText("Scenes", 6, RULER + 12);
    const tracks = this.lanes.visible.filter((one) => one.track).length;
    pen.fillText(`${tracks} ${tracks === 1 ? "track" : "tracks"}`, 6, 10);
  }

  /**
   * @param {"" | "600"} weight
   * @param {number} [size] CSS pixels
   */
  font(weight, size = 11) {
    this.pen.font = `${weight} ${size}px ${TEXT}`;
    this.pen.textBaseline = "middle";
  }

  /**
   * Draw what shows in a rectangle alone.
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   * @param {() => void} draw
   */
  within(x, y, width, height, draw) {
    const { pen } = this;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    draw();
    pen.restore();
  }
}
