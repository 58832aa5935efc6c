/**
 * For editing: the mattes and reframed videos of the video, how each stands, and taking them.
 *
 * What belongs here: the list. What does not: asking the server (`deliverables.js`), wishes in words (`wishes.js`).
 *
 * @typedef {import("./shapes").Deliverable} Deliverable
 * @typedef {import("./room.js").Room} Room
 */
import { get } from "../api.js";
import { Dialog } from "../dialog.js";
import { download } from "../downloading.js";
import { bytes, date, percent, since } from "../format.js";
import { Held } from "../held.js";
import { html, useEffect, useState } from "../html.js";
import { asProblem, Failed, worded } from "../parts.js";
import { may } from "../session.js";
import { useStore } from "../store.js";
import { toCome } from "./deliverables.js";
import { FILM } from "./making.js";
import { wordsOf } from "./wishes.js";

/** @type {Record<Deliverable["status"], [string, (one: Deliverable) => string]>} class of its tag, and words */
const STANDS = {
  wanted: ["", () => "Waiting"],
  making: ["processing", (one) => `Being made, ${percent(one.progress)}`],
  made: ["completed", (one) => (one.bytes === null ? "Ready" : `Ready, ${bytes(one.bytes)}`)],
  failed: ["failed", () => "Failed"],
  evicted: ["", () => "Not kept, since nobody took it for long"],
};

/** @param {import("./screen.js").Shared} props */
export function ForEditing({ room, toMake }) {
  const { all, failure, said } = useStore(room.deliverables.known);
  const [deleted, toDelete] = useState(/** @type {Deliverable | null} */ (null));
  useEffect(() => void room.deliverables.ask(), []);
  if (!all) return failure ? html`<${Failed} failure=${failure} />` : html`<p class="v-empty" role="status">Loading …</p>`;
  return html`<div class="v-list">
    <div class="v-list-tools">
      <span class="v-grow" role="status">${said}</span>
      ${may("write") && html`<button type="button" onClick=${() => toMake({ kind: "reframe", of: FILM })}>Reframe the film…</button>`}
    </div>
    <${Held} by=${all.find((one) => one.held_up_by)?.held_up_by} />
    ${all.length === 0 && html`<p class="v-empty">Nothing was made for editing yet.${may("write") &&
      " Select a track or an element, or go to a scene: Matte… cuts it out in every frame, Reframe… gives the film another ratio."}</p>`}
    <ul class="v-rows" aria-label="For editing">
      ${all.map((one) => html`<${Row} key=${one.deliverable_id} room=${room} one=${one} toDelete=${toDelete} />`)}
    </ul>
    ${deleted && html`<${Deleting} one=${deleted} room=${room} close=${() => toDelete(null)} />`}
  </div>`;
}

/** @param {{ room: Room, one: Deliverable, toDelete: (one: Deliverable) => void }} props */
function Row({ room, one, toDelete }) {
  const [problem, setProblem] = useState(/** @type {import("../api.js").Problem | null} */ (null));
  const { deliverables, results } = room;
  const [title, rest] = wordsOf(one, results);
  const [tag, stands] = STANDS[one.status];
  const shown = useStore(room.crop, (crop) => crop?.id === one.deliverable_id);
  const show = async () => room.crop.set(shown ? null : { id: one.deliverable_id, shots: (await get(one.file)).shots });
  const act = async (/** @type {() => Promise<void>} */ ask) => {
    setProblem(null);
    try {
      await ask();
    } catch (error) {
      setProblem(asProblem(error));
      deliverables.ask();
    }
  };
  const named = (/** @type {string} */ verb) => `${verb}: ${title}, ${rest}`;
  return html`<li class="v-row v-takeaway">
    <div class="v-row-text">
      <b>${title}</b>
      <span class="dim">${rest}</span>
      <span class="v-takeaway-state"><span class=${`tag num ${tag}`}>${stands(one)}</span>
        <time class="dim" datetime=${one.asked_at} title=${date(one.asked_at)}>${since(one.asked_at)}</time>
        ${one.result_id !== results.video.result_id && html`<span class="v-hand"
          title="It is of results that newer ones have replaced. A track's name may mean another one there.">of other results</span>`}</span>
    </div>
    <div class="v-group">
      ${one.status === "made" && html`<button type="button" class="primary" aria-label=${named("Download")}
        onClick=${() => act(() => download(one.file))}>Download</button>`}
      ${one.status === "made" && one.kind === "reframe" && one.wish.form === "json" && html`<button type="button" aria-pressed=${shown}
        aria-label=${named("Show")} title="Show its window over the film" onClick=${() => act(show)}>Show</button>`}
      ${may("write") && (one.status === "failed" || one.status === "evicted") && html`<button type="button" aria-label=${named("Make again")}
        onClick=${() => act(() => deliverables.wish(one, one.result_id))}>Make again</button>`}
      ${may("write") && html`<button type="button" aria-label=${named(toCome(one) ? "Stop" : "Delete")}
        onClick=${() => toDelete(one)}>${toCome(one) ? "Stop…" : "Delete…"}</button>`}
    </div>
    ${toCome(one) && html`<progress max="1" value=${one.progress} aria-label=${`${title}: made`}></progress>`}
    ${one.failure && html`<div class="refused"><p class="wrap">${worded(one.failure.message)}</p><p class="wrap">${worded(one.failure.remedy)}</p>
      <p class="code mono">${one.failure.code}</p></div>`}
    ${problem && html`<${Failed} failure=${problem} />`}
  </li>`;
}

/** Whether it is meant. @param {{ room: Room, one: Deliverable, close: () => void }} props */
function Deleting({ room, one, close }) {
  const [problem, setProblem] = useState(/** @type {import("../api.js").Problem | null} */ (null));
  const [title, rest] = wordsOf(one, room.results);
  const submit = async () => {
    try {
      await room.deliverables.delete(one);
      if (room.crop.value?.id === one.deliverable_id) room.crop.set(null);
      close();
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return html`<${Dialog} title=${toCome(one) ? "Stop making it?" : "Delete it?"} close=${close}>
    <p class="named wrap">${title}, ${rest}</p>
    <p>It goes for everybody who has this film. Whoever asks for it again has it made again.</p>
    ${problem && html`<${Failed} failure=${problem} />`}
    <div class="row end"><button type="button" onClick=${close} autofocus>Keep</button>
      <button type="button" class="danger" onClick=${submit}>${toCome(one) ? "Stop" : "Delete"}</button></div>
  <//>`;
}
