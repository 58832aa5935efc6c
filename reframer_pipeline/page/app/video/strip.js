/**
 * The piece of the film that the timeline shows: scrolling, zooming, seeking and choosing there, and when it is drawn.
 *
 * What belongs here: the pointer and the wheel, and what they do. What does not: where things stand (`lanes.js`), how they look
 * (`drawing.js`).
 */
import { Drawing } from "./drawing.js";
import { HEAD, LANE } from "./lanes.js";

const CLOSEST = 0.4; // seconds across, at the strongest zoom

export class Strip {
  /**
   * @param {import("./lanes.js").Lanes} lanes
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
    this.revealed = false; // whether the lane of what is selected was scrolled to
    /** @type {Map<string, string>} */
    this.colours = new Map();
    /** @type {Drawing | null} */
    this.drawing = null;
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
    let { track } = this.selection.view.value;
    const selected = (/** @type {import("./shapes").View} */ view) => {
      if (view.track !== track) this.revealed = false;
      track = view.track;
      this.later();
    };
    const ends = [this.selection.view.watch(selected), this.player.head.watch(() => this.point())];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.drawing = new Drawing(pen, this.lanes, (name) => this.paint(name));
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
    this.drawing?.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
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
    const { lanes, drawing } = this;
    const { scroller, spacer, canvas } = this.parts();
    if (!drawing || !canvas) return;
    lanes.left = scroller.scrollLeft;
    lanes.choose();
    spacer.style.height = `${HEAD + lanes.visible.length * LANE}px`;
    if (!this.revealed) this.reveal();
    lanes.top = scroller.scrollTop;
    drawing.draw(this.selection.view.value);
    this.point();
  }

  /** Scroll to the lane of the track that was selected, unless it is in view. */
  reveal() {
    const { scroller } = this.parts();
    const { height, visible } = this.lanes;
    const { track } = this.selection.view.value;
    this.revealed = true;
    const top = LANE * visible.findIndex((one) => one.track && one.track.track_id === track);
    if (top >= 0 && (top < scroller.scrollTop || top + LANE > scroller.scrollTop + height - HEAD)) scroller.scrollTop = top - 2 * LANE;
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
   * @returns {import("./lanes.js").Hit | null} what is under the pointer, unless it drags the playhead
   */
  move(event) {
    const hit = this.hit(event);
    if (this.scrubbing && event.buttons) {
      this.selection.seek(hit.seconds);
      return null;
    }
    this.selection.hover(hit.lane?.track?.track_id ?? null);
    return hit;
  }

  /** @param {MouseEvent} event a scene fills the timeline */
  twice(event) {
    const { part, scene } = this.hit(event);
    if (part !== "scenes" || !scene) return;
    this.zoomed = Math.min(this.lanes.duration / Math.max(scene.seconds, CLOSEST), this.lanes.duration / CLOSEST);
    this.rescale(scene.start_seconds, this.lanes.gutter);
  }
}
