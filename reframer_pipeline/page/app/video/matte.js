/**
 * The window that asks for a matte or a cutout.
 *
 * What belongs here: its choices. What does not: what a matte is (docs/mattes.md), the forms in words (`wishes.js`), asking (`making.js`).
 */
import { html, useState } from "../html.js";
import { useStore } from "../store.js";
import { Asking, Forms, Tick } from "./making.js";
import { MATTES } from "./wishes.js";

/** @param {{ room: import("./room.js").Room, of: import("./shapes").Chosen, close: () => void }} props */
export function Matte({ room, of, close }) {
  const scene = useStore(room.selection.view, (view) => view.scene);
  const [form, choose] = useState("prores");
  const [cut, turn] = useState(false);
  const [soften, soft] = useState(0);
  const [only, limit] = useState(false);
  const grey = form === "luma"; // it has no picture
  const cutout = cut && !grey;
  const number = only ? (scene ?? undefined) : undefined;
  const named = of.elements.length ? { elements: of.elements, scene: number } : { tracks: of.tracks, scene: number };
  const wish = /** @type {import("../types").MatteWish} */ ({ ...(of.scene ? { scene: of.scene } : named), form, cutout, soften });
  const kind = (/** @type {boolean} */ picture, /** @type {string} */ name, /** @type {string} */ says) => html`<label class="choice">
    <input type="radio" name="cutout" checked=${cutout === picture} disabled=${picture && grey} onChange=${() => turn(picture)} />
    <span><b>${name}</b> <span class="dim">${says}</span></span></label>`;
  return html`<${Asking} room=${room} title=${`Matte of ${of.says}`} wished=${{ kind: "matte", wish }} close=${close}>
    <p class="dim">It is made on every frame. That takes several times as long as the masks did.</p>
    <${Forms} forms=${MATTES} form=${form} choose=${choose} />
    <fieldset><legend>What is in it</legend>
      ${kind(false, "The matte alone", "White inside")}
      ${kind(true, "Cut out", grey ? "A grey film has no picture" : "The picture, with nothing around it")}
    </fieldset>
    <label class="choice"><span>Soften the edges over</span> <input type="number" min="0" max="200" step="any" required class="v-short" value=${soften}
      onInput=${(/** @type {any} */ event) => soft(event.target.valueAsNumber)} /> <span>pixels</span></label>
    ${!of.scene && scene !== null && room.results.scenes.length > 1 &&
    html`<${Tick} on=${only} turn=${limit}>Only scene ${scene}, which is shown<//>`}
  <//>`;
}
