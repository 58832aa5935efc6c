/**
 * Correcting by hand what is selected: a track, an element.
 *
 * What belongs here: the forms. What does not: what a correction does (docs/corrections.md), asking for it (`hand.js`). Who may not write
 * sees none of them.
 *
 * @typedef {import("./room.js").Room} Room
 * @typedef {import("./shapes").Track} Track
 */
import { moment } from "../format.js";
import { html, useState } from "../html.js";
import { may } from "../session.js";
import { useStore } from "../store.js";
import { useActing } from "./hand.js";

const LONGEST = 80; // characters of a name, as the server takes it
const DIFFICULTIES = /** @type {const} */ (["easy", "medium", "hard"]);

/** Opens the forms, and closes them. @param {{ room: Room }} props */
export function ToCorrect({ room: { hand } }) {
  const open = useStore(hand.state, (state) => state.open);
  if (!may("write")) return null;
  return html`<button type="button" aria-expanded=${open} onClick=${() => hand.state.change({ open: !open })}>Correct…</button>`;
}

/** @param {{ room: Room, track: Track }} props */
export function CorrectTrack({ room, track }) {
  const { hand, results } = room;
  const open = useStore(hand.state, (state) => state.open);
  const [label, write] = useState(track.label);
  const [other, choose] = useState("");
  const { act, failed } = useActing();
  if (!open || !may("write")) return null;
  const { track_id } = track;
  const others = results.tracks.filter((one) => one.class === track.class && one !== track);
  const opposite = track.class === "person" ? "product" : "person";
  const submit = (/** @type {() => Promise<any>} */ ask) => (/** @type {Event} */ event) => {
    event.preventDefault();
    act(ask);
  };
  return html`<div class="v-correct" role="group" aria-label=${`Correct ${track_id}`}>
    <form onSubmit=${submit(() => hand.correct({ kind: "rename", track_id, label }))}>
      <input aria-label="What it is" required maxlength=${LONGEST} value=${label} data-hand="label"
        onInput=${(/** @type {any} */ event) => write(event.target.value)} />
      <button data-hand="rename" disabled=${!label.trim() || label === track.label}>Rename</button>
    </form>
    ${others.length > 0 && html`<form onSubmit=${submit(() => hand.correct({ kind: "merge", track_id, other_id: other }))}>
      <select aria-label="Merge with" required value=${other} onChange=${(/** @type {any} */ event) => choose(event.target.value)}>
        <option value="">The same as …</option>
        ${others.map((one) => html`<option value=${one.track_id}>${one.track_id} ${one.label}, ${moment(one.start_seconds)} to ${moment(one.end_seconds)}</option>`)}
      </select>
      <button data-hand="merge" disabled=${!other}>Merge</button>
    </form>`}
    <div class="v-group">
      <${Split} room=${room} track=${track} act=${act} />
      <button type="button" data-hand="class"
        onClick=${() => act(() => hand.correct({ kind: "class", track_id, class: opposite }))}>It is a ${opposite}</button>
      <button type="button" data-hand="delete" class="danger" title="There is no such thing. It can be taken back under Review."
        onClick=${() => act(() => hand.correct({ kind: "delete", track_id }))}>Delete</button>
    </div>
    ${failed}
  </div>`;
}

/**
 * It is alone drawn anew with every frame.
 * @param {{ room: Room, track: Track, act: (ask: () => Promise<any>) => void }} props
 */
function Split({ room: { hand, player }, track, act }) {
  const frame = useStore(player.head, (head) => head.frame);
  const inside = frame > track.start_frame && frame < track.end_frame;
  return html`<button type="button" data-hand="split" disabled=${!inside}
    title=${inside ? "From this frame on it is another thing." : "Go to the first frame in which it is another thing."}
    onClick=${() => act(() => hand.correct({ kind: "split", track_id: track.track_id, frame }))}>Split at frame ${frame}</button>`;
}

/** @param {{ room: Room, element: import("./shapes").Element }} props */
export function CorrectElement({ room: { hand }, element }) {
  const open = useStore(hand.state, (state) => state.open);
  const { act, failed } = useActing();
  if (!open || !may("write")) return null;
  const { scene_number, element_number } = element;
  return html`<div class="v-correct">
    <div class="v-switch" role="group" aria-label="How difficult it is to replace">
      ${DIFFICULTIES.map((difficulty) => html`<button type="button" data-hand=${difficulty} aria-pressed=${element.difficulty === difficulty}
        onClick=${() => element.difficulty === difficulty ||
          act(() => hand.correct({ kind: "difficulty", scene_number, element_number, difficulty }))}>${difficulty}</button>`)}
    </div>
    ${failed}
  </div>`;
}
