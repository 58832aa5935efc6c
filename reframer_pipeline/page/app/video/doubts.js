/**
 * Doubts: what of the results a person should look at first (docs/doubts.md).
 *
 * What belongs here: asking for them, of which track or element they are, the mark on these. What does not: the list (`review.js`).
 *
 * @typedef {import("./shapes").Doubt} Doubt
 * @typedef {(doubt: Doubt) => boolean} Of
 */
import { get } from "../api.js";
import { html } from "../html.js";
import { asProblem } from "../parts.js";
import { Store, useStore } from "../store.js";
import { TERMS } from "./terms.js";

export class Doubts {
  /** @param {import("./shapes").Video} video whose set is meant */
  constructor({ video_id, result_id }) {
    this.path = `/videos/${video_id}/doubts`;
    this.set = { result_id };
    this.known = new Store({ all: /** @type {Doubt[]} */ ([]), failure: /** @type {import("../api.js").Problem | null} */ (null) });
  }

  /** They may first have to be found, so nothing waits for them. @param {AbortSignal} signal */
  async ask(signal) {
    try {
      this.known.change({ all: (await get(this.path, this.set, { signal })).doubts });
    } catch (error) {
      if (!signal.aborted) this.known.change({ failure: asProblem(error) });
    }
  }

  /** @param {string} track @returns {Of} */
  static ofTrack(track) {
    return (doubt) => doubt.track_id === track || doubt.other_id === track;
  }

  /** Those of the element itself, and those of its tracks. @param {import("./shapes").Element} element @returns {Of} */
  static ofElement({ scene_number, element_number, track_ids }) {
    return (doubt) =>
      doubt.element_number === null
        ? [doubt.track_id, doubt.other_id].some((one) => one !== null && track_ids.includes(one))
        : doubt.scene_number === scene_number && doubt.element_number === element_number;
  }
}

/** A mark on what is doubtful, and why; nothing on what is not. @param {{ room: import("./room.js").Room, of: Of }} props */
export function Doubtful({ room, of }) {
  const why = useStore(room.doubts.known, ({ all }) => all.filter(of).map((one) => one.says).join(" "));
  return why && html`<span class="v-doubt" title=${`${why} ${TERMS.Doubt}`}>doubt</span>`;
}
