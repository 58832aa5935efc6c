/**
 * The timeline: scrolling, zooming, seeking and choosing on a canvas that draws only what is in view.
 *
 * What belongs here: the pointer, and when to draw. What does not: the drawing (`lanes.js`).
 */
import { length, moment, seconds as lasting } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { HEAD, LANE, Lanes } from "./lanes.js";
import { usePart } from "./store.js";

const CLOSEST = 0.4; // seconds across, at the strongest zoom
const FACTOR = 1.5; // of one step of zoom

/**
 * @param {{ results: import("./shapes").Results, times: import("./times.js").Times, player: import("./player.js").Player,
 *   selection: import("./selection.js").Selection, remote: { zoom?: (steps: number) => void } }} props `remote`: what keys may call
 */
export function Timeline({ results, times, player, selection, remote }) {
  const canvas = /** @type {{ current: HTMLCanvasElement }} */ (useRef(/** @type {any} */ (null)));
  const scroller = /** @type {{ current: HTMLDivElement }} */ (useRef(/** @type {any} */ (null)));
  const spacer = /** @type {{ current: HTMLDivElement }} */ (useRef(/** @type {any} */ (null)));
  const playhead = /** @type {{ current: HTMLDivElement }} */ (useRef(/** @type {any} */ (null)));
  const [tip, setTip] = useState(/** @type {{ x: number, y: number, lines: string[] } | null} */ (null));
  const lanes = useMemo(() => new Lanes(results, times.duration), [results, times]);
  const parts = () => ({ canvas: canvas.current, scroller: scroller.current, spacer: spacer.current, playhead: playhead.current });
  const desk = useMemo(
    () => new Desk(lanes, player, selection, times, parts),
    [lanes, player],
  );
  remote.zoom = (steps) => desk.zoom(FACTOR ** steps);
  useEffect(() => desk.begin(), [desk]);
  const seconds = usePart(player.head, (head) => Math.round(times.seconds[head.frame] ?? 0));
  return html`<section class="v-timeline" aria-label="Timeline">
    <div class="v-timeline-tools">
      <h2>Timeline</h2>
      <span class="v-legend"><i class="v-key thin"></i>seen <i class="v-key thick"></i>can be replaced:
        <i class="v-key easy"></i>easy <i class="v-key medium"></i>medium <i class="v-key hard"></i>hard</span>
      <span class="v-grow"></span>
      <button type="button" title="Zoom out (-)" aria-label="Zoom out" onClick=${() => desk.zoom(1 / FACTOR)}>−</button>
      <button type="button" title="Zoom in (+)" aria-label="Zoom in" onClick=${() => desk.zoom(FACTOR)}>+</button>
      <button type="button" title="The whole film" onClick=${() => desk.zoom(0)}>Fit</button>
    </div>
    <div class="v-lanes" style=${{ height: `${Math.min(HEAD + lanes.lanes.length * LANE + 16, 340)}px` }}>
      <div ref=${scroller} class="v-scroller" tabindex="0" role="slider" aria-label="Playhead" aria-valuemin="0"
        aria-valuemax=${Math.round(times.duration)}
        aria-valuenow=${seconds} aria-valuetext=${length(seconds)}>
        <div ref=${spacer}><canvas ref=${canvas}
          onPointerDown=${(/** @type {PointerEvent} */ event) => event.pointerType !== "touch" && desk.down(event)}
          onClick=${(/** @type {PointerEvent} */ event) => event.pointerType === "touch" && desk.down(event)}
          onPointerMove=${(/** @type {PointerEvent} */ event) => setTip(desk.move(event))}
          onPointerLeave=${() => (selection.hover(null), setTip(null))}
          onDblClick=${(/** @type {MouseEvent} */ event) => desk.twice(event)}></canvas></div>
      </div>
      <div ref=${playhead} class="v-playhead"></div>
      ${tip && html`<div class="v-tip"
        style=${{ left: `${tip.x}px`, top: `${tip.y}px` }}>${tip.lines.map((line) => html`<div>${line}</div>`)}</div>`}
    </div>
  </section>`;
}

/** What happens on the timeline. */
class Desk {
  /**
   * @param {Lanes} lanes
   * @param {import("./player.js").Player} player
   * @param {import("./selection.js").Selection} selection
   * @param {import("./times.js").Times} times
   * @param {() => { canvas: HTMLCanvasElement, scroller: HTMLDivElement, spacer: HTMLDivElement, playhead: HTMLDivElement }} parts
   */
  constructor(lanes, player, selection, times, parts) {
    this.lanes = lanes;
    this.player = player;
    this.selection = selection;
    this.times = times;
    this.parts = parts;
    this.zoomed = 1; // how many times less than the whole film is in view
    this.due = 0;
    this.scrubbing = false;
    /** @type {Map<string, string>} */
    this.colours = new Map();
  }

  /** The theme has changed. */
  repaint() {
    this.colours.clear();
    this.later();
  }

  /** @returns {() => void} ends it */
  begin() {
    const { canvas, scroller } = this.parts();
    const ended = new AbortController();
    const { signal } = ended;
    scroller.addEventListener("scroll", () => this.later(), { signal, passive: true });
    scroller.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    window.addEventListener("pointerup", () => (this.scrubbing = false), { signal });
    const sized = new ResizeObserver(() => this.fit());
    sized.observe(scroller);
    const theme = new MutationObserver(() => this.repaint());
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint(), { signal });
    const ends = [this.selection.view.watch(() => this.later()), this.player.head.watch(() => this.point())];
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.fit();
    return () => {
      ended.abort();
      sized.disconnect();
      theme.disconnect();
      for (const end of ends) end();
      cancelAnimationFrame(this.due);
    };
  }

  /** Take on the size that it is shown at. */
  fit() {
    const { canvas, scroller } = this.parts();
    if (!scroller?.clientWidth) return; // not shown, or no more
    const { clientWidth, clientHeight } = scroller;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.style.width = `${clientWidth}px`;
    canvas.style.height = `${clientHeight}px`;
    canvas.width = Math.round(clientWidth * ratio);
    canvas.height = Math.round(clientHeight * ratio);
    this.pen?.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { lanes } = this;
    const middle = lanes.width ? lanes.seconds(lanes.width / 2) : 0;
    lanes.width = clientWidth;
    lanes.height = clientHeight;
    lanes.gutter = clientWidth < 600 ? 76 : 132;
    this.rescale(middle, clientWidth / 2);
  }

  /**
   * Keep a moment where it is while the scale changes.
   * @param {number} seconds
   * @param {number} x
   */
  rescale(seconds, x) {
    const { lanes } = this;
    const { scroller, spacer } = this.parts();
    lanes.scale = ((lanes.width - lanes.gutter) / Math.max(lanes.duration, 1e-3)) * this.zoomed;
    spacer.style.width = `${lanes.gutter + Math.floor(lanes.duration * lanes.scale)}px`;
    scroller.scrollLeft = seconds * lanes.scale - (x - lanes.gutter);
    lanes.left = scroller.scrollLeft; // the next step of zoom may come before it is drawn
    this.later();
  }

  /**
   * @param {number} factor 0: the whole film
   * @param {number} [x] the point that stays; the playhead if it is in view
   */
  zoom(factor, x) {
    const { lanes } = this;
    const head = lanes.x(this.times.seconds[this.player.frame]);
    const at = x ?? (head >= lanes.gutter && head <= lanes.width ? head : (lanes.gutter + lanes.width) / 2);
    const seconds = lanes.seconds(at);
    this.zoomed = factor === 0 ? 1 : Math.min(Math.max(this.zoomed * factor, 1), Math.max(lanes.duration / CLOSEST, 1));
    this.rescale(seconds, at);
  }

  later() {
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { lanes, pen } = this;
    const { scroller, spacer, canvas } = this.parts();
    if (!pen || !canvas) return;
    lanes.left = scroller.scrollLeft;
    lanes.choose();
    spacer.style.height = `${HEAD + lanes.visible.length * LANE}px`;
    lanes.top = scroller.scrollTop;
    lanes.draw(pen, this.selection.view.value, (name) => this.paint(name));
    this.point();
  }

  /**
   * A colour of the theme, as the canvas takes it.
   * @param {string} name
   */
  paint(name) {
    let colour = this.colours.get(name);
    if (!colour) {
      const { playhead } = this.parts();
      playhead.style.color = `var(--${name})`;
      colour = getComputedStyle(playhead).color;
      this.colours.set(name, colour);
    }
    return colour;
  }

  /** Put the playhead where it belongs; turn the page when it leaves. */
  point() {
    const { lanes } = this;
    const { playhead, scroller } = this.parts();
    if (!playhead) return;
    const { frame, playing } = this.player.head.value;
    const x = lanes.x(this.times.seconds[frame] ?? 0);
    const inView = x >= lanes.gutter - 0.5 && x <= lanes.width;
    playhead.style.visibility = inView ? "visible" : "hidden";
    playhead.style.transform = `translateX(${x}px)`;
    if (!inView && playing && !this.scrubbing) scroller.scrollLeft = this.times.seconds[frame] * lanes.scale - 40;
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 300), event.clientX - this.parts().scroller.getBoundingClientRect().left);
  }

  /** @param {MouseEvent} event */
  hit(event) {
    const { left, top } = this.parts().canvas.getBoundingClientRect();
    return this.lanes.hit(event.clientX - left, event.clientY - top);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button) return;
    const hit = this.hit(event);
    if (hit.gutter) {
      if (hit.lane?.track) this.selection.track(hit.lane.track.track_id);
      return;
    }
    this.selection.seek(hit.seconds);
    this.scrubbing = hit.part !== "lane";
    if (hit.element) this.selection.element(hit.element, false);
    else if (hit.lane?.track) this.selection.track(hit.lane.track.track_id);
  }

  /**
   * @param {PointerEvent} event
   * @returns {{ x: number, y: number, lines: string[] } | null} what to say there
   */
  move(event) {
    const hit = this.hit(event);
    if (this.scrubbing && event.buttons) {
      this.selection.seek(hit.seconds);
      return null;
    }
    this.selection.hover(hit.lane?.track?.track_id ?? null);
    const lines = told(hit);
    if (!lines) return null;
    const { left, top } = this.parts().scroller.getBoundingClientRect();
    return { x: Math.min(Math.max(event.clientX - left + 12, 4), Math.max(this.lanes.width - 270, 4)), y: event.clientY - top + 16, lines };
  }

  /** @param {MouseEvent} event a scene fills the timeline */
  twice(event) {
    const { part, scene } = this.hit(event);
    if (part !== "scenes" || !scene) return;
    this.zoomed = Math.min(this.lanes.duration / Math.max(scene.seconds, CLOSEST), this.lanes.duration / CLOSEST);
    this.rescale(scene.start_seconds, this.lanes.gutter);
  }
}

/** @param {import("./lanes.js").Hit} hit */
function told({ part, scene, lane, element }) {
  if (part === "scenes" && scene) {
    const span = `${moment(scene.start_seconds)} to ${moment(scene.end_seconds)}`;
    return [`Scene ${scene.scene_number}, importance ${scene.importance} of 10`, scene.description, span];
  }
  if (!lane) return null;
  const track = lane.track;
  const seen = track && `${track.track_id} ${track.label}, ${lasting(track.seconds)} on screen`;
  const first = seen ?? `${lane.elements[0].label}: no track was found`;
  return element ? [first, `Scene ${element.scene_number}: ${element.difficulty} to replace`, ...element.reasons.slice(0, 2)] : [first];
}
