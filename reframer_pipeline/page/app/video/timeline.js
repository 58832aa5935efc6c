/**
 * The timeline on the screen: its tools, its canvas, and what is said of what is under the pointer.
 *
 * What belongs here: elements and words. What does not: what the pointer does, and when it is drawn (`strip.js`).
 */
import { length, moment, seconds as lasting } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { HEAD, LANE, Lanes } from "./lanes.js";
import { Strip } from "./strip.js";
import { TERMS } from "./terms.js";

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
  const strip = useMemo(
    () => new Strip(lanes, player, selection, times, parts),
    [lanes, player],
  );
  remote.zoom = (steps) => strip.zoom(FACTOR ** steps);
  useEffect(() => strip.begin(), [strip]);
  const seconds = useStore(player.head, (head) => Math.round(times.seconds[head.frame] ?? 0));
  return html`<section class="v-timeline" aria-label="Timeline">
    <div class="v-timeline-tools">
      <h2>Timeline</h2>
      <span class="v-legend" title=${TERMS.Difficulty}><i class="v-key thin"></i>seen <i class="v-key thick"></i>can be replaced:
        <i class="v-key easy"></i>easy <i class="v-key medium"></i>medium <i class="v-key hard"></i>hard</span>
      <span class="v-grow"></span>
      <button type="button" title="Zoom out (-)" aria-label="Zoom out" onClick=${() => strip.zoom(1 / FACTOR)}>−</button>
      <button type="button" title="Zoom in (+)" aria-label="Zoom in" onClick=${() => strip.zoom(FACTOR)}>+</button>
      <button type="button" title="The whole film" onClick=${() => strip.zoom(0)}>Fit</button>
    </div>
    <div class="v-lanes" style=${{ height: `${Math.min(HEAD + lanes.lanes.length * LANE + 16, 340)}px` }}>
      <div ref=${scroller} class="v-scroller" tabindex="0" role="slider" aria-label="Playhead" aria-valuemin="0"
        aria-valuemax=${Math.round(times.duration)}
        aria-valuenow=${seconds} aria-valuetext=${length(seconds)}>
        <div ref=${spacer}><canvas ref=${canvas}
          onPointerDown=${(/** @type {PointerEvent} */ event) => event.pointerType !== "touch" && strip.down(event)}
          onClick=${(/** @type {PointerEvent} */ event) => event.pointerType === "touch" && strip.down(event)}
          onPointerMove=${(/** @type {PointerEvent} */ event) => setTip(tipAt(strip, event))}
          onPointerLeave=${() => (selection.hover(null), setTip(null))}
          onDblClick=${(/** @type {MouseEvent} */ event) => strip.twice(event)}></canvas></div>
      </div>
      <div ref=${playhead} class="v-playhead"></div>
      ${tip && html`<div class="v-tip"
        style=${{ left: `${tip.x}px`, top: `${tip.y}px` }}>${tip.lines.map((line) => html`<div>${line}</div>`)}</div>`}
    </div>
  </section>`;
}

/**
 * What is said of what is under the pointer, and where.
 * @param {Strip} strip
 * @param {PointerEvent} event
 */
function tipAt(strip, event) {
  const hit = strip.move(event);
  const lines = hit && told(hit);
  if (!lines) return null;
  const { left, top } = strip.parts().scroller.getBoundingClientRect();
  return { x: Math.min(Math.max(event.clientX - left + 12, 4), Math.max(strip.lanes.width - 270, 4)), y: event.clientY - top + 16, lines };
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
