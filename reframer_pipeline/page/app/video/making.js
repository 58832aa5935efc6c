/**
 * Asking for what an editor takes away: the two buttons that stand where something is selected, and what both windows share.
 *
 * What belongs here: that. What does not: the windows themselves (`matte.js`, `reframe.js`). Who may not write sees no buttons.
 *
 * @typedef {import("./shapes").Chosen} Chosen
 * @typedef {{ kind: "matte" | "reframe", of: Chosen }} Making
 * @typedef {(making: Making) => void} ToMake opens a window
 */
import { Dialog } from "../dialog.js";
import { html, useState } from "../html.js";
import { asProblem, Failed } from "../parts.js";
import { may } from "../session.js";
import { listed } from "./exports.js";

/** @type {Chosen} */
export const FILM = { says: "the whole film", tracks: [], elements: [], scene: null };

/** @param {import("./shapes").Track} track @returns {Chosen} */
export const ofTrack = (track) => ({ ...FILM, says: listed([track]), tracks: [track.track_id] });

/** @param {import("./shapes").Scene} scene @returns {Chosen} */
export const ofScene = ({ scene_number }) => ({ ...FILM, says: `scene ${scene_number}`, scene: scene_number });

/**
 * @param {import("./shapes").Element[]} elements
 * @param {import("./shapes").Results} results
 * @returns {Chosen}
 */
export function ofElements(elements, { tracks }) {
  const ids = [...new Set(elements.flatMap((one) => one.track_ids))];
  const says = listed(tracks.filter((one) => ids.includes(one.track_id)));
  return { says, tracks: ids, elements: elements.map((one) => `${one.scene_number}.${one.element_number}`), scene: null };
}

/** @param {{ of: Chosen, toMake: ToMake }} props */
export function ToMake({ of, toMake }) {
  if (!may("write")) return null;
  return html`<button type="button" onClick=${() => toMake({ kind: "matte", of })}>Matte…</button>
    <button type="button" onClick=${() => toMake({ kind: "reframe", of })}>Reframe…</button>`;
}

/**
 * A window that asks for one. When it was asked for, the list of all is shown, and has the keyboard if the window had it.
 * @param {{ room: import("./room.js").Room, title: string, wished: import("./shapes").Wish, close: () => void, children?: any }} props
 */
export function Asking({ room, title, wished, close, children }) {
  const [failure, fail] = useState(/** @type {import("../api.js").Problem | null} */ (null));
  const [busy, work] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const keyboard = document.activeElement !== document.body; // a button that was clicked has let go of it
    work(true);
    fail(null);
    try {
      await room.deliverables.wish(wished);
      close();
      room.lists.change({ tab: "editing" });
      if (keyboard) setTimeout(() => document.getElementById("v-tab-editing")?.focus());
    } catch (error) {
      fail(asProblem(error));
      work(false);
    }
  };
  return html`<${Dialog} title=${title} close=${close} className="exporting">
    <form class="stack" onSubmit=${submit}>
      ${children}
      ${failure && html`<${Failed} failure=${failure} />`}
      <div class="row end"><button class="primary" disabled=${busy}>${busy ? "Asking…" : "Make it"}</button></div>
    </form>
  <//>`;
}

/**
 * In which form it is written.
 * @param {{ forms: import("./wishes.js").Form[], form: string, choose: (form: string) => void }} props
 */
export function Forms({ forms, form, choose }) {
  return html`<fieldset><legend>Form</legend>
    ${forms.map(
      ({ form: one, name, says }) => html`<label class="choice" key=${one}>
        <input type="radio" name="form" value=${one} checked=${form === one} onChange=${() => choose(one)} />
        <span><b>${name}</b> <span class="dim">${says}</span></span></label>`,
    )}
  </fieldset>`;
}

/**
 * Something that is so or not.
 * @param {{ on: boolean, turn: (on: boolean) => void, disabled?: boolean, children?: any }} props
 */
export function Tick({ on, turn, disabled = false, children }) {
  return html`<label class="choice"><input type="checkbox" checked=${on} disabled=${disabled}
    onChange=${(/** @type {any} */ event) => turn(event.target.checked)} /><span>${children}</span></label>`;
}
