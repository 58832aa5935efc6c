/**
 * The window that asks for the film in another ratio.
 *
 * What belongs here: its choices, and how large the window of a ratio is. What does not: where it lies (the server), the forms in words
 * (`wishes.js`), asking (`making.js`).
 */
import { html, useEffect, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { outline } from "./crop.js";
import { Asking, Forms, Tick } from "./making.js";
import { REFRAMES } from "./wishes.js";

/** @type {[string, string][]} */
const RATIOS = [["9:16", "tall"], ["4:5", "portrait"], ["1:1", "square"], ["16:9", "wide"]];
const RATIO = /^(\d+(?:\.\d+)?)[:x\/](\d+(?:\.\d+)?)$/;
const PREVIEW = { width: 448, height: 180 }; // CSS pixels at most

/** @param {{ room: import("./room.js").Room, of: import("./shapes").Chosen, close: () => void }} props */
export function Reframe({ room, of, close }) {
  const { results } = room;
  const scene = useStore(room.selection.view, (view) => view.scene);
  const [listed, pick] = useState("9:16");
  const [typed, type] = useState("");
  const [subject, follow] = useState(of.tracks.length ? "chosen" : "");
  const [form, choose] = useState("mp4");
  const [letterbox, bar] = useState(false);
  const [only, limit] = useState(of.scene !== null);
  const number = of.scene ?? scene;
  const ratio = listed || typed.trim();
  const bars = letterbox && form !== "sendcmd"; // FFmpeg's crop draws none
  const labels = [...new Set(results.tracks.map((one) => one.label))].filter((one) => one !== "person" && one !== "product").sort();
  const wish = /** @type {import("../types").ReframeWish} */ ({
    ratio,
    tracks: subject === "chosen" ? of.tracks : undefined,
    label: subject && subject !== "chosen" ? subject.slice(1) : undefined,
    letterbox: bars,
    scene: only ? (number ?? undefined) : undefined,
    form,
  });
  return html`<${Asking} room=${room} title="Reframe" wished=${{ kind: "reframe", wish }} close=${close}>
    <fieldset><legend>Ratio</legend>
      <div class="row v-ratios">
        ${[...RATIOS, ["", "other"]].map(
          ([one, says]) => html`<label class="choice" key=${one}><input type="radio" name="ratio" checked=${listed === one}
            onChange=${() => pick(one)} /><span>${one && html`<b>${one}</b> `}<span class="dim">${says}</span></span></label>`,
        )}
        ${listed === "" && html`<input aria-label="Width to height" class="v-short" required placeholder="2.39:1" pattern=${RATIO.source} value=${typed}
          title="Width to height, such as 2.39:1" onInput=${(/** @type {any} */ event) => type(event.target.value)} />`}
      </div>
    </fieldset>
    <${Preview} room=${room} ratio=${ratio} />
    <label class="field"><span>What must stay in view</span>
      <select value=${subject} onChange=${(/** @type {any} */ event) => follow(event.target.value)}>
        <option value="">Everything that was found</option>
        ${of.tracks.length > 0 && html`<option value="chosen">${of.says}</option>`}
        <option value="=person">All people</option><option value="=product">All products</option>
        ${labels.map((one) => html`<option value=${`=${one}`}>Each ${one}</option>`)}
      </select></label>
    <div>
      <${Tick} on=${bars} turn=${bar} disabled=${form === "sendcmd"}>Bars where it does not fit: such a shot is shown whole<//>
      ${number !== null && results.scenes.length > 1 && html`<${Tick} on=${only} turn=${limit}>Only scene ${number}<//>`}
    </div>
    <${Forms} forms=${REFRAMES} form=${form} choose=${choose} />
  <//>`;
}

/**
 * The window that a ratio allows, over the frame that is shown. It stands in the middle, since nobody knows yet where it will be.
 * @param {{ room: import("./room.js").Room, ratio: string }} props
 */
function Preview({ room, ratio }) {
  const canvas = /** @type {{ current: HTMLCanvasElement }} */ (useRef(/** @type {any} */ (null)));
  const scale = Math.min(PREVIEW.width / room.size.width, PREVIEW.height / room.size.height);
  const [width, height] = [Math.round(room.size.width * scale), Math.round(room.size.height * scale)];
  const [, across, down] = (RATIO.exec(ratio) ?? []).map(Number);
  const size = across && down ? Math.min(width / across, height / down) : 0;
  useEffect(() => {
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.current.getContext("2d"));
    pen.drawImage(room.film.video, 0, 0, width, height);
    if (!size) return;
    const [wide, high] = [across * size, down * size];
    outline(pen, { x: (width - wide) / 2, y: (height - high) / 2, width: wide, height: high }, { width, height });
  }, [width, height, across, down]);
  return html`<div class="v-preview"><canvas ref=${canvas} width=${width} height=${height} role="img"
    aria-label=${size ? `The window of ${ratio} in the picture` : "The picture"}></canvas>
    <p class="dim">So large is the window. It moves with what must stay in view.</p></div>`;
}
