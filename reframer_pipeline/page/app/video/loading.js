/**
 * A video and its results: loaded, looked at again from time to time, and loaded anew when newer results are published.
 *
 * What belongs here: asking, and what is known. What does not: showing it (`screen.js`).
 *
 * @typedef {import("./shapes").Results} Results
 * @typedef {import("./shapes").Video} Video
 * @typedef {{ results: Results, times: Times, film: Film, renewed: boolean }} Loaded all that is held whole of one set of results; whether
 *   they took the place of others while somebody looked
 * @typedef {{ video: Video | null, loaded: Loaded | null, problem: import("../api.js").Problem | null }} Known
 */
import { get } from "../api.js";
import { turns } from "../jobs.js";
import { asProblem } from "../parts.js";
import { Store } from "../store.js";
import { Film } from "./film.js";
import { Newer, rowsOf } from "./rows.js";
import { Times } from "./times.js";

const LOOK_MS = 15_000; // between two looks at the video, whatever its jobs say

export class Loading {
  /** @param {string} id of the video */
  constructor(id) {
    this.id = id;
    /** @type {Store<Known>} */
    this.known = new Store(/** @type {Known} */ ({ video: null, loaded: null, problem: null }));
    this.ended = new AbortController();
    this.wanted = false;
    /** @type {Promise<void> | null} what is being loaded */
    this.busy = null;
  }

  /** @returns {() => void} ends it */
  begin() {
    const timer = setInterval(() => document.hidden || this.look(), LOOK_MS);
    const unwatch = turns.watch(() => this.look());
    this.look();
    return () => {
      clearInterval(timer);
      unwatch();
      this.ended.abort();
    };
  }

  /**
   * Look whether there is anything new; after what is being loaded, if something is.
   * @returns {Promise<void>} ends when that is there
   */
  look() {
    this.wanted = true;
    return (this.busy ??= this.go());
  }

  async go() {
    for (const { signal } = this.ended; this.wanted && !signal.aborted; ) {
      this.wanted = false;
      try {
        await this.load(signal);
        this.known.change({ problem: null });
      } catch (error) {
        if (error instanceof Newer) this.wanted = true;
        else if (!signal.aborted) this.known.change({ problem: asProblem(error) });
      }
    }
    this.busy = null;
  }

  /**
   * The film begins to load before the results are there: its first picture takes longest.
   * @param {AbortSignal} signal
   */
  async load(signal) {
    const one = (/** @type {string} */ name) => get(`/videos/${this.id}${name}`, {}, { signal });
    const { video: known, loaded } = this.known.value;
    const before = loaded?.results.video.result_id;
    const facts = known ? null : one("/film");
    facts?.catch(() => {}); // told below, if the video itself is there
    const video = /** @type {Video} */ (await one(""));
    if (!video.result_id || video.result_id === before) return this.known.change({ video });
    const all = (/** @type {string} */ name) => rowsOf(video, name, {}, signal);
    const rows = Promise.all([one("/times"), all("scenes"), all("tracks"), all("elements")]);
    rows.catch(() => {});
    if (before === undefined) this.known.change({ video });
    const film = new Film(video, await (facts ?? one("/film")));
    try {
      const [{ seconds, sampled }, scenes, tracks, elements] = await rows;
      signal.throwIfAborted();
      const results = { video, scenes, tracks, elements };
      this.known.change({ video, loaded: { results, times: new Times(seconds, sampled, video.fps), film, renewed: before !== undefined } });
    } catch (error) {
      film.close();
      throw error;
    }
  }
}
