/**
 * The tracks: which are shown in the picture, and what was measured of the one that is selected.
 *
 * What belongs here: the list. It makes only the rows in view, since there may be hundreds.
 *
 * @typedef {import("./shapes").Track} Track
 */
import { moment, percent, seconds } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { cssOf } from "./colours.js";
import { CorrectTrack, ToCorrect } from "./correct.js";
import { Doubtful, Doubts } from "./doubts.js";
import { Bars, ByHand } from "./figures.js";
import { ofTrack, ToMake } from "./making.js";
import { TERMS } from "./terms.js";

const ROW = 34; // CSS pixels, as in video.css
const EDGE = 6; // rows that are made above and below those in view

/** @param {import("./screen.js").Shared} props */
export function Tracks({ room, toExport, toMake }) {
  const { results, selection } = room;
  const view = useStore(selection.view, (whole) => whole);
  const words = useStore(room.lists, (lists) => lists.find);
  const box = /** @type {{ current: HTMLDivElement }} */ (useRef(/** @type {any} */ (null)));
  const [top, setTop] = useState(0);
  const tracks = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    return results.tracks.filter((one) => !wanted || `${one.track_id} ${one.label} ${one.class}`.toLowerCase().includes(wanted));
  }, [results, words]);
  const place = tracks.findIndex((one) => one.track_id === view.track);
  useEffect(() => {
    const { current } = box;
    if (place < 0 || !current) return;
    const { scrollTop, clientHeight } = current;
    if (place * ROW < scrollTop || (place + 1) * ROW > scrollTop + clientHeight) current.scrollTop = (place - 2) * ROW;
  }, [view.track]);
  const height = box.current?.clientHeight ?? 400;
  const first = Math.max(0, Math.floor(top / ROW) - EDGE);
  const last = Math.min(tracks.length, Math.ceil((top + height) / ROW) + EDGE);
  const selected = results.tracks.find((one) => one.track_id === view.track);
  const toggle = (/** @type {"person" | "product"} */ kind) => selection.view.change({ [kind]: !view[kind] });
  if (!results.tracks.length) return html`<p class="v-empty">Nobody and nothing was tracked.</p>`;
  return html`<div class="v-list">
    <div class="v-list-tools">
      <input type="search" data-find placeholder="Find a track" aria-label="Find a track" value=${words}
        onInput=${(/** @type {any} */ event) => room.lists.change({ find: event.target.value })} />
      <div class="v-shown" role="group" aria-label="Shown in the picture">
        <label><input type="checkbox" checked=${view.person} onChange=${() => toggle("person")} />People</label>
        <label><input type="checkbox" checked=${view.product} onChange=${() => toggle("product")} />Products</label>
        <button type="button" onClick=${() => selection.show(tracks.map((one) => one.track_id), true)}>Show all</button>
        <button type="button" onClick=${() => selection.show(tracks.map((one) => one.track_id), false)}>Hide all</button>
      </div>
    </div>
    <div class="v-tracks" ref=${box} onScroll=${(/** @type {any} */ event) => setTop(event.currentTarget.scrollTop)}>
      ${tracks.length === 0 && html`<p class="v-empty">No track has these words.</p>`}
      <ul aria-label="Tracks" style=${{ height: `${tracks.length * ROW}px` }}>
        ${tracks.slice(first, last).map(
          (one, n) => html`<li key=${one.track_id} aria-setsize=${tracks.length} aria-posinset=${first + n + 1}
            style=${{ transform: `translateY(${(first + n) * ROW}px)` }}
              class=${`v-track ${view.track === one.track_id ? "chosen" : ""} ${view.hover === one.track_id ? "hovered" : ""}`}
              onPointerEnter=${() => selection.hover(one.track_id)} onPointerLeave=${() => selection.hover(null)}>
            <input type="checkbox" checked=${!view.hidden.has(one.track_id)} aria-label=${`Show ${one.track_id}`}
              onChange=${(/** @type {any} */ event) => selection.show([one.track_id], event.target.checked)} />
            <button type="button" aria-pressed=${view.track === one.track_id} onClick=${() => choose(selection, one, view.track)}>
              <i class="v-dot" style=${{ background: cssOf(one.track_id) }}></i>
              <span class="v-row-name">${one.label} <span class="dim">${one.track_id}</span> <${ByHand} of=${one} />
                <${Doubtful} room=${room} of=${Doubts.ofTrack(one.track_id)} /></span>
              <span class="dim">${moment(one.start_seconds)}, ${seconds(one.seconds)}</span>
            </button>
          </li>`,
        )}
      </ul>
    </div>
    ${selected &&
    html`<div class="v-reasons">
      <div class="v-row-head"><h2>${selected.track_id} ${selected.label}</h2>
        <span class="v-group"><${ToCorrect} room=${room} />
          <button type="button" onClick=${() => toExport("track")}>Export this track…</button>
          <${ToMake} of=${ofTrack(selected)} toMake=${toMake} /></span></div>
      <${CorrectTrack} key=${selected.track_id} room=${room} track=${selected} />
      <dl class="v-facts">
        <dt>Seen</dt><dd>${selected.sightings} times, from ${moment(selected.start_seconds)} to ${moment(selected.end_seconds)}</dd>
        <dt title=${TERMS.Confidence}>Confidence</dt><dd>${percent(selected.confidence)} on average</dd>
      </dl>
      <${Bars} of=${selected} />
    </div>`}
  </div>`;
}

/**
 * Select a track and go to it, or let go of it.
 * @param {import("./selection.js").Selection} selection
 * @param {Track} track
 * @param {string | null} now
 */
function choose(selection, track, now) {
  if (now === track.track_id) return selection.clear();
  selection.seek(track.start_seconds);
  selection.track(track.track_id);
}
