/**
 * What can be replaced: of this scene or of the whole film, by ease or by time on screen.
 *
 * What belongs here: the list and its rows. What does not: figures (`figures.js`), which one is selected (`selection.js`), how the list is
 * filtered (`lists.js`).
 *
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Results} Results
 */
import { media } from "../api.js";
import { counted, moment, number, percent, seconds } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { cssOf } from "./colours.js";
import { CorrectElement, CorrectTrack, ToCorrect } from "./correct.js";
import { Doubtful, Doubts } from "./doubts.js";
import { Bars, ByHand, Chip } from "./figures.js";
import { CHOICES } from "./lists.js";
import { ofElements, ToMake } from "./making.js";

/** By what the list says of its order. @type {Record<string, (a: Element, b: Element) => number>} */
const ORDERS = {
  "": (a, b) => (a.difficulty_score ?? Infinity) - (b.difficulty_score ?? Infinity),
  seconds: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1),
  time: (a, b) => a.start_seconds - b.start_seconds,
};
const SHOWN = 60; // rows at first; more on request

/** @param {import("./screen.js").Shared} props */
export function Elements({ room, toExport, toMake }) {
  const { results, selection } = room;
  const [most, setMost] = useState(SHOWN);
  const { of, sort, class: kind } = useStore(room.lists);
  const film = of === "film";
  const ticked = useStore(selection.view, (view) => view.ticked);
  const scene = useStore(selection.view, (view) => view.scene);
  const element = useStore(selection.view, (view) => view.element);
  const rows = useMemo(() => {
    const found = results.elements.filter((one) => (film || one.scene_number === scene) && (!kind || one.class === kind));
    return found.sort((a, b) => ORDERS[sort](a, b) || a.start_seconds - b.start_seconds || a.element_number - b.element_number);
  }, [results, film, sort, kind, scene]);
  const place = rows.findIndex((one) => one.scene_number === scene && one.element_number === element);
  const shown = Math.max(most, place + 1);
  const choice = (/** @type {"sort" | "class"} */ name, /** @type {string} */ label, /** @type {string} */ value) =>
    html`<select aria-label=${label} value=${value} onChange=${(/** @type {any} */ event) => room.lists.change({ [name]: event.target.value })}>
      ${Object.entries(CHOICES[name]).map(([one, words]) => html`<option value=${one}>${words}</option>`)}
    </select>`;
  return html`<div class="v-list">
    <div class="v-list-tools">
      <div class="v-switch" role="group" aria-label="Which elements">
        ${Object.entries(CHOICES.of).map(([one, words]) => html`<button type="button" aria-pressed=${of === one}
          onClick=${() => room.lists.change({ of: one })}>${one || scene === null ? words : `Scene ${scene}`}</button>`)}
      </div>
      <div class="v-selects">${choice("sort", "Order", sort)} ${choice("class", "Class", kind)}</div>
    </div>
    ${rows.length === 0 && html`<p class="v-empty">${nothing(results, film)}</p>`}
    <ul class="v-rows" aria-label="Elements">
      ${rows.slice(0, shown).map(
        (one) => html`<${Row} key=${`${one.scene_number}/${one.element_number}`} room=${room} toExport=${toExport} toMake=${toMake} element=${one} film=${film}
          ticked=${ticked.has(one)} />`,
      )}
    </ul>
    ${rows.length > shown && html`<button type="button" class="v-more"
      onClick=${() => setMost(shown + SHOWN)}>${rows.length - shown} more</button>`}
    ${ticked.size > 0 &&
    html`<div class="v-export" role="region" aria-label="Export">
      <span class="v-grow">${counted(ticked.size, "element")} ticked</span>
      <button type="button" class="primary" onClick=${() => toExport("ticked")}>Export…</button>
      <${ToMake} of=${ofElements([...ticked], results)} toMake=${toMake} />
      <button type="button" onClick=${() => selection.tick(ticked, false)}>Clear</button>
    </div>`}
  </div>`;
}

/** @param {import("./screen.js").Shared & { element: Element, film: boolean, ticked: boolean }} props `film`: the list is of the whole film */
function Row({ room, toExport, toMake, element, film, ticked }) {
  const { results, selection } = room;
  const item = /** @type {{ current: HTMLLIElement }} */ (useRef(/** @type {any} */ (null)));
  const open = useStore(selection.view, (view) => view.scene === element.scene_number && view.element === element.element_number);
  const track = element.track_ids[0] ?? null;
  const hovered = useStore(selection.view, (view) => track !== null && view.hover === track);
  useEffect(() => {
    if (open) reveal(item.current);
  }, [open]);
  const name = element.label || element.class;
  return html`<li ref=${item} class=${`v-row ${open ? "chosen" : ""} ${hovered ? "hovered" : ""}`}
      onPointerEnter=${() => selection.hover(track)} onPointerLeave=${() => selection.hover(null)}>
    <input type="checkbox" checked=${ticked} disabled=${!track}
      title=${track ? "Tick for export" : "Without a track there is nothing to export"}
      aria-label=${`Choose ${name}, scene ${element.scene_number}`}
      onChange=${(/** @type {any} */ event) => selection.tick([element], event.target.checked)} />
    <button type="button" class="v-row-main" aria-expanded=${open} onClick=${() => (open ? selection.clear() : selection.element(element))}>
      <${Crop} results=${results} track=${track} />
      <span class="v-row-text">
        <span class="v-row-name">${track && html`<i class="v-dot" style=${{ background: cssOf(track) }}></i>`}${name}${" "}
          <span class="dim">${track ?? "no track"}${film ? `, scene ${element.scene_number}` : ""}</span> <${ByHand} of=${element} />
            <${Doubtful} room=${room} of=${Doubts.ofElement(element)} /></span>
        <span class="dim">${inView(element)}</span>
      </span>
      <${Chip} difficulty=${element.difficulty} score=${element.difficulty_score} />
    </button>
    ${open && html`<${Reasons} room=${room} element=${element} toExport=${toExport} toMake=${toMake} />`}
  </li>`;
}

/**
 * Scroll the panel so that a row is seen; never the page.
 * @param {HTMLElement} row
 */
function reveal(row) {
  const panel = /** @type {HTMLElement} */ (row.closest("[role=tabpanel]"));
  const [outer, inner] = [panel.getBoundingClientRect(), row.getBoundingClientRect()];
  const top = outer.top + (panel.querySelector(".v-list-tools")?.clientHeight ?? 0);
  if (inner.top < top || inner.bottom > outer.bottom) panel.scrollTop += inner.top - top;
}

/** @param {{ results: Results, track: string | null }} props */
function Crop({ results, track }) {
  const [gone, setGone] = useState(false);
  const { video } = results;
  if (!track || gone || video.evicted) return html`<span class="v-crop" aria-hidden="true"></span>`;
  return html`<img class="v-crop" loading="lazy" fetchpriority="low" alt=""
    src=${media(`/videos/${video.video_id}/tracks/${track}.jpg`, { result_id: video.result_id })} onError=${() => setGone(true)} />`;
}

/** @param {import("./screen.js").Shared & { element: Element }} props */
function Reasons({ room, element, toExport, toMake }) {
  const track = room.results.tracks.find((one) => one.track_id === element.track_ids[0]);
  const { model_difficulty: asked, measured_difficulty: measured, match_confidence: match } = element;
  return html`<div class="v-reasons">
    <p>${element.description}</p>
    <div class="v-group"><${ToCorrect} room=${room} />
      ${track && html`<button type="button" onClick=${() => toExport("track")}>Export this track…</button>
        <${ToMake} of=${ofElements([element], room.results)} toMake=${toMake} />`}</div>
    <${CorrectElement} room=${room} element=${element} />
    ${track && html`<${CorrectTrack} room=${room} track=${track} />`}
    ${element.reasons.length > 0 && html`<h2>Why ${element.difficulty}</h2><ol>${element.reasons.map((one) => html`<li>${one}</li>`)}</ol>`}
    <h2>Measured</h2>
    <${Bars} of=${element} />
    ${(asked || element.model_reason) &&
    html`<h2>Two opinions</h2>
      <dl class="v-facts">
        <dt>Measured</dt><dd>${measured ? html`<${Chip} difficulty=${measured} />` : "no track was found"}</dd>
        <dt>Gemini</dt><dd>${asked ? html`<${Chip} difficulty=${asked} />` : "said nothing"} ${element.model_reason}</dd>
      </dl>`}
    <dl class="v-facts">
      <dt>Track</dt>
      <dd>${element.track_ids.join(", ") || "none was found"}${match !== null ? `, matched with ${percent(match)} confidence` : ""}</dd>
      <dt>In view</dt><dd>${moment(element.start_seconds)} to ${moment(element.end_seconds)}</dd>
      ${element.plate_frames.length > 0 &&
      html`<dt title="The frames that show most of what lies behind it.">Behind it</dt>
        <dd class="v-group">${element.plate_frames.map(
          (frame) => html`<button type="button" onClick=${() => room.player.seekFrame(frame)}>Frame ${number(frame)}</button>`,
        )}</dd>`}
    </dl>
  </div>`;
}

/** @param {Element} one */
function inView(one) {
  if (one.seconds !== null) return `${seconds(one.seconds)} on screen`;
  return `${moment(one.start_seconds)} to ${moment(one.end_seconds)}`;
}

/**
 * @param {Results} results
 * @param {boolean} film
 */
function nothing(results, film) {
  if (!results.elements.length) return "Nothing was found that could be replaced.";
  return film ? "Nothing of this class. Choose another one above." : "Nothing here. Go to another scene, or look at the whole film.";
}
