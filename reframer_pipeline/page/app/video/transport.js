/**
 * The row below the film: play, step, time, speed, loop, and what is drawn.
 *
 * What belongs here: buttons. What does not: what they do (`verbs.js`).
 */
import { number } from "../format.js";
import { html, useEffect, useRef } from "../html.js";
import { useStore } from "../store.js";
import { Icon } from "./icons.js";
import { RATES } from "./player.js";
import { TERMS } from "./terms.js";

/**
 * @param {{ player: import("./player.js").Player, times: import("./times.js").Times, selection: import("./selection.js").Selection,
 *   does: Record<string, () => void>, said: string }} props `said`: of the address that was to be copied
 */
export function Transport({ player, times, selection, does, said }) {
  const playing = useStore(player.head, (head) => head.playing);
  const rate = useStore(player.head, (head) => head.rate);
  const muted = useStore(player.head, (head) => head.muted);
  const looping = useStore(player.head, (head) => head.loop !== null);
  const view = useStore(selection.view, (whole) => whole);
  const press = (/** @type {string} */ name, /** @type {string} */ text, /** @type {string} */ title, /** @type {boolean} */ on) =>
    html`<button type="button" title=${title} aria-pressed=${on} onClick=${does[name]}>${text}</button>`;
  return html`<div class="v-transport" role="toolbar" aria-label="Playing">
    <div class="v-group">
      <button type="button" title="One sampled frame back (Shift ←)" aria-label="One sampled frame back"
        onClick=${does.backSampled}><${Icon} name="backSampled" /></button>
      <button type="button" title="One frame back (←)" aria-label="One frame back" onClick=${does.back}><${Icon} name="back" /></button>
      <button type="button" class="v-play" title="Play or stop (space)" aria-label=${playing ? "Stop" : "Play"}
        onClick=${does.toggle}><${Icon} name=${playing ? "stop" : "play"} /></button>
      <button type="button" title="One frame on (→)" aria-label="One frame on" onClick=${does.on}><${Icon} name="on" /></button>
      <button type="button" title="One sampled frame on (Shift →)" aria-label="One sampled frame on" onClick=${does.onSampled}><${Icon}
        name="onSampled" /></button>
    </div>
    <${Clock} player=${player} times=${times} />
    <span class="v-grow"></span>
    <div class="v-group">
      ${press("loop", "Loop", "Play this scene again and again (R)", looping)}
      ${press("sound", "Sound", "Sound on and off (S)", !muted)}
      <select aria-label="Speed" title="Speed ([ and ])" value=${String(rate)}
        onChange=${(/** @type {any} */ event) => player.setRate(Number(event.target.value))}>
        ${RATES.map((one) => html`<option value=${String(one)}>${number(one)}×</option>`)}
      </select>
    </div>
    <div class="v-group" role="group" aria-label="What is drawn">
      ${press("boxes", "Boxes", "Boxes (B)", view.boxes)} ${press("masks", "Masks", "Masks (M)", view.masks)}
      ${press("ids", "Ids", "Ids (I)", view.ids)}
    </div>
    <div class="v-group">
      <button type="button" title="Copy the address of this moment (C)" onClick=${does.copy}>Copy link</button>
      <button type="button" title="Words and keys (?)" aria-label="Words and keys" onClick=${does.help}>?</button>
    </div>
    <p class="v-said" role="status">${said}</p>
  </div>`;
}

/**
 * Timecode and frame; written past the screen's drawing, since they change with every frame.
 * @param {{ player: import("./player.js").Player, times: import("./times.js").Times }} props
 */
function Clock({ player, times }) {
  const box = /** @type {{ current: HTMLElement }} */ (useRef(/** @type {any} */ (null)));
  useEffect(() => {
    const write = () => {
      const { frame } = player.head.value;
      const sampled = times.sampled[times.sampledPlace(frame)] === frame;
      const [time, said, mark] = /** @type {any} */ (box.current.children);
      time.textContent = times.timecode(frame);
      said.textContent = `frame ${frame}`;
      if (mark.dataset.on === String(sampled)) return;
      mark.dataset.on = String(sampled);
      mark.textContent = sampled ? "measured" : "in between";
    };
    write();
    return player.head.watch(write);
  }, [player, times]);
  return html`<div class="v-clock" ref=${box}><strong></strong><span></span><span class="v-mark"
    title=${TERMS["Solid box, dashed box"]}></span></div>`;
}
