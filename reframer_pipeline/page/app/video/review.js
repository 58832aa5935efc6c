/**
 * What to look at first, and what was corrected by hand.
 *
 * What belongs here: the two lists. What does not: what is doubtful (`doubts.js`), correcting (`correct.js`) and asking for it (`hand.js`).
 *
 * @typedef {import("./room.js").Room} Room
 */
import { counted, moment, since } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Failed } from "../parts.js";
import { may } from "../session.js";
import { useStore } from "../store.js";
import { cssOf } from "./colours.js";
import { useActing } from "./hand.js";

const SHOWN = 60; // rows of a list at first; more on request

/** @param {{ room: Room }} props */
export function Review({ room }) {
  return html`<div class="v-list"><${LookFirst} room=${room} /><${Corrected} hand=${room.hand} /></div>`;
}

/** @param {{ room: Room }} props */
function LookFirst({ room }) {
  const { all, failure } = useStore(room.doubts.known);
  if (failure) return html`<${Failed} failure=${failure} />`;
  if (!all.length) return null;
  return html`<h2 class="v-over" id="v-first">Look here first</h2>
    <${Rows} all=${all} labelled="v-first" row=${(/** @type {import("./shapes").Doubt} */ one) => html`<${DoubtRow}
      key=${one.number} room=${room} doubt=${one} />`} />`;
}

/** A doubt, and the way to it. @param {{ room: Room, doubt: import("./shapes").Doubt }} props */
function DoubtRow({ room, doubt }) {
  const { results, selection, times } = room;
  const track = results.tracks.find((one) => one.track_id === doubt.track_id);
  const element = results.elements.find((one) => one.scene_number === doubt.scene_number && one.element_number === doubt.element_number);
  const begin = doubt.frame_number === null ? element?.start_seconds : times.seconds[doubt.frame_number];
  const go = () => {
    if (begin !== undefined) room.seek(begin);
    if (element) selection.element(element, false);
    else selection.track(doubt.track_id);
  };
  return html`<li class="v-row">
    <button type="button" class="v-row-main" onClick=${go}
      onPointerEnter=${() => selection.hover(doubt.track_id)} onPointerLeave=${() => selection.hover(null)}>
      <span class="v-row-text">
        <span class="v-row-name">${doubt.track_id && html`<i class="v-dot" style=${{ background: cssOf(doubt.track_id) }}></i>`}${
          track?.label ?? element?.label}${" "}
          <span class="dim">${doubt.track_id ?? `no track, scene ${doubt.scene_number}`}</span></span>
        <span>${doubt.says}</span>
      </span>
      ${begin !== undefined && html`<span class="dim">${moment(begin)}</span>`}
    </button>
  </li>`;
}

/** @param {{ hand: import("./hand.js").Hand }} props */
function Corrected({ hand }) {
  const { all, failure } = useStore(hand.log);
  const { act, failed } = useActing();
  useEffect(() => void hand.ask(), []);
  if (failure && !all) return html`<${Failed} failure=${failure} />`;
  if (!all) return html`<p class="v-empty" role="status">Loading …</p>`;
  const how = may("write") ? " Select a track or an element, then Correct…" : "";
  const undo = may("write") ? (/** @type {Correction} */ one) => act(() => hand.undo(one)) : null;
  return html`<h2 class="v-over" id="v-by-hand">By hand</h2>
    ${failed}
    ${all.length === 0 && html`<p class="v-empty">Nothing was corrected by hand.${how}</p>`}
    <${Rows} all=${all} labelled="v-by-hand" row=${(/** @type {Correction} */ one) => html`<${CorrectionRow}
      key=${one.number} one=${one} undo=${undo} />`} />`;
}

/**
 * @typedef {import("./shapes").Correction} Correction
 * @param {{ one: Correction, undo: ((one: Correction) => void) | null }} props `undo`: null for who may not
 */
function CorrectionRow({ one, undo }) {
  const who = one.by_you ? "you" : "somebody else who has this film";
  return html`<li class=${`v-row v-corrected ${one.undone_at ? "undone" : ""}`}>
    <span class="v-row-text">
      <span><b>${one.says}</b> ${one.applied === false && html`<span class="v-doubt">no longer matches</span>`}</span>
      ${one.trouble && html`<span>${one.trouble}</span>`}
      <span class="dim">${who}${one.source === "cvat" && " in CVAT"}, ${since(one.created_at)}${
        one.undone_at && `; taken back ${since(one.undone_at)}`}</span>
    </span>
    ${undo && !one.undone_at && html`<button type="button" data-hand=${`undo-${one.number}`} aria-label=${`Undo: ${one.says}`}
      onClick=${() => undo(one)}>Undo</button>`}
  </li>`;
}

/** @param {{ all: any[], labelled: string, row: (one: any) => any }} props */
function Rows({ all, labelled, row }) {
  const [most, setMost] = useState(SHOWN);
  if (!all.length) return null;
  return html`<ul class="v-rows" aria-labelledby=${labelled}>${all.slice(0, most).map(row)}</ul>
    ${all.length > most && html`<button type="button" class="v-more" onClick=${() => setMost(most + SHOWN)}>${counted(all.length - most, "more", "more")}</button>`}`;
}
