/**
 * What can be replaced: of this scene or of the whole film, by ease or by time on screen, and exporting those chosen.
 *
 * What belongs here: the list and its rows. What does not: figures (`figures.js`), which one is selected (`selection.js`).
 *
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Results} Results
 * @typedef {import("./selection.js").Selection} Selection
 */
import { media } from "../api.js";
import { Exporting } from "../exporting.js";
import { counted, moment, percent, seconds } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { cssOf } from "./colours.js";
import { Bars } from "./figures.js";
import { useStore } from "../store.js";

/** @type {Record<string, (a: Element, b: Element) => number>} */
const ORDERS = {
  ease: (a, b) => (a.difficulty_score ?? Infinity) - (b.difficulty_score ?? Infinity),
  seconds: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1),
  time: (a, b) => a.start_seconds - b.start_seconds,
};
const SHOWN = 60; // rows at first; more on request

/** @param {{ results: Results, selection: Selection }} props */
export function Elements({ results, selection }) {
  const [whole, setWhole] = useState(false);
  const [order, setOrder] = useState("ease");
  const [kind, setKind] = useState("");
  const [most, setMost] = useState(SHOWN);
  const [picked, setPicked] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const [exporting, setExporting] = useState(false);
  const scene = useStore(selection.view, (view) => view.scene);
  const rows = useMemo(() => {
    const found = results.elements.filter((one) => (whole || one.scene_number === scene) && (!kind || one.class === kind));
    return found.sort((a, b) => ORDERS[order](a, b) || a.start_seconds - b.start_seconds || a.element_number - b.element_number);
  }, [results, whole, order, kind, scene]);
  const element = useStore(selection.view, (view) => view.element);
  const place = rows.findIndex((one) => one.scene_number === scene && one.element_number === element);
  const shown = Math.max(most, place + 1);
  const pick = (/** @type {Element} */ one, /** @type {boolean} */ on) => {
    const next = new Set(picked);
    if (on) next.add(keyOf(one));
    else next.delete(keyOf(one));
    setPicked(next);
  };
  const chosen = results.elements.filter((one) => picked.has(keyOf(one)));
  return html`<div class="v-list">
    <div class="v-list-tools">
      <div class="v-switch" role="group" aria-label="Which elements">
        <button type="button" aria-pressed=${!whole} onClick=${() => setWhole(false)}>Scene ${scene ?? ""}</button>
        <button type="button" aria-pressed=${whole} onClick=${() => setWhole(true)}>Whole film</button>
      </div>
      <select aria-label="Order" value=${order} onChange=${(/** @type {any} */ event) => setOrder(event.target.value)}>
        <option value="ease">Easiest first</option>
        <option value="seconds">Longest in view</option>
        <option value="time">In order of time</option>
      </select>
      <select aria-label="Class" value=${kind} onChange=${(/** @type {any} */ event) => setKind(event.target.value)}>
        <option value="">All</option>
        <option value="product">Products</option>
        <option value="person">People</option>
      </select>
    </div>
    ${rows.length === 0 && html`<p class="v-empty">${nothing(results, whole)}</p>`}
    <ul class="v-rows" aria-label="Elements">
      ${rows.slice(0, shown).map(
        (one) => html`<${Row} key=${keyOf(one)} results=${results} element=${one} selection=${selection} whole=${whole}
          picked=${picked.has(keyOf(one))} pick=${pick} />`,
      )}
    </ul>
    ${rows.length > shown && html`<button type="button" class="v-more"
      onClick=${() => setMost(shown + SHOWN)}>${rows.length - shown} more</button>`}
    ${chosen.length > 0 &&
    html`<div class="v-export" role="region" aria-label="Export">
      <span class="v-grow">${counted(chosen.length, "element")} chosen</span>
      <button type="button" class="primary" onClick=${() => setExporting(true)}>Export …</button>
      <button type="button" onClick=${() => setPicked(new Set())}>Clear</button>
    </div>`}
    ${exporting && html`<${Exporting} videos=${[results.video]} tracks=${[...new Set(chosen.flatMap((one) => one.track_ids))]}
      close=${() => setExporting(false)} />`}
  </div>`;
}

/**
 * @param {{ results: Results, element: Element, selection: Selection, whole: boolean, picked: boolean,
 *   pick: (one: Element, on: boolean) => void }} props
 */
function Row({ results, element, selection, whole, picked, pick }) {
  const item = /** @type {{ current: HTMLLIElement }} */ (useRef(/** @type {any} */ (null)));
  const open = useStore(selection.view, (view) => view.scene === element.scene_number && view.element === element.element_number);
  const track = element.track_ids[0] ?? null;
  const hovered = useStore(selection.view, (view) => track !== null && view.hover === track);
  useEffect(() => {
    if (open) reveal(item.current);
  }, [open]);
  const name = element.label || element.class;
  const score = element.difficulty_score === null ? "" : ` ${Math.round(element.difficulty_score)}`;
  return html`<li ref=${item} class=${`v-row ${open ? "chosen" : ""} ${hovered ? "hovered" : ""}`}
      onPointerEnter=${() => selection.hover(track)} onPointerLeave=${() => selection.hover(null)}>
    <input type="checkbox" checked=${picked} disabled=${!track}
      title=${track ? "Choose for export" : "Without a track there is nothing to export"}
      aria-label=${`Choose ${name}, scene ${element.scene_number}`}
      onChange=${(/** @type {any} */ event) => pick(element, event.target.checked)} />
    <button type="button" class="v-row-main" aria-expanded=${open} onClick=${() => (open ? selection.clear() : selection.element(element))}>
      <${Crop} results=${results} track=${track} />
      <span class="v-row-text">
        <span class="v-row-name">${track && html`<i class="v-dot" style=${{ background: cssOf(track) }}></i>`}${name}${" "}
          <span class="dim">${track ?? "no track"}${whole ? `, scene ${element.scene_number}` : ""}</span></span>
        <span class="dim">${inView(element)}</span>
      </span>
      <span class=${`v-chip ${element.difficulty}`}>${element.difficulty}${score}</span>
    </button>
    ${open && html`<${Reasons} element=${element} />`}
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

/** @param {{ element: Element }} props */
function Reasons({ element }) {
  const { model_difficulty: asked, measured_difficulty: measured, match_confidence: match } = element;
  return html`<div class="v-reasons">
    <p>${element.description}</p>
    ${element.reasons.length > 0 && html`<h2>Why ${element.difficulty}</h2><ol>${element.reasons.map((one) => html`<li>${one}</li>`)}</ol>`}
    <h2>Measured</h2>
    <${Bars} of=${element} />
    ${(asked || element.model_reason) &&
    html`<h2>Two opinions</h2>
      <dl class="v-facts">
        <dt>Measured</dt><dd>${measured ? html`<span class=${`v-chip ${measured}`}>${measured}</span>` : "no track was found"}</dd>
        <dt>Gemini</dt><dd>${asked ? html`<span class=${`v-chip ${asked}`}>${asked}</span>` : "said nothing"} ${element.model_reason}</dd>
      </dl>`}
    <dl class="v-facts">
      <dt>Track</dt>
      <dd>${element.track_ids.join(", ") || "none was found"}${match !== null ? `, matched with ${percent(match)} confidence` : ""}</dd>
      <dt>In view</dt><dd>${moment(element.start_seconds)} to ${moment(element.end_seconds)}</dd>
    </dl>
  </div>`;
}

/** @param {Element} one */
function inView(one) {
  if (one.seconds !== null) return `${seconds(one.seconds)} on screen`;
  return `${moment(one.start_seconds)} to ${moment(one.end_seconds)}`;
}

/** @param {Element} one */
function keyOf(one) {
  return `${one.scene_number}/${one.element_number}`;
}

/**
 * @param {Results} results
 * @param {boolean} whole
 */
function nothing(results, whole) {
  if (!results.elements.length) return "Nothing was found that could be replaced.";
  return whole ? "Nothing of this class. Choose another one above." : "Nothing here. Go to another scene, or look at the whole film.";
}
