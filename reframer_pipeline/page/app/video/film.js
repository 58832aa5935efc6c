/**
 * Which file is played: the original, or the proxy where the browser cannot show the original as it is meant.
 *
 * What belongs here: that choice, and waiting for a proxy. What does not: playing (`player.js`).
 *
 * @typedef {import("./shapes").FilmFacts} FilmFacts
 * @typedef {import("./shapes").Proxy} Proxy
 * @typedef {{ source: "original" | "proxy", ready: boolean, progress: number | null, problem: { message: string, remedy: string, code:
 * string } | null,
 *   why: string | null }} FilmState
 */
import { get, media, send } from "../api.js";
import { asProblem } from "../parts.js";
import { Store } from "./store.js";

const ASPECT = 0.01; // the share by which the browser's picture may differ in shape
const LOOK_MS = 700; // between two looks at a proxy that is being made

export class Film {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} id of the video
   * @param {FilmFacts} facts
   * @param {number} aspect width over height, as displayed
   */
  constructor(video, id, facts, aspect) {
    this.video = video;
    this.id = id;
    this.facts = facts;
    this.aspect = aspect;
    /** @type {Store<FilmState>} */
    this.state = new Store(/** @type {FilmState} */ ({ source: "original", ready: false, progress: null, problem: null, why: null }));
    /** Seconds by the browser's clock at which the first frame begins. */
    this.start = facts.start_seconds;
    /** @type {() => void} called when a file can be played */
    this.onready = () => {};
    this.ended = new AbortController();
    const { signal } = this.ended;
    video.addEventListener("loadedmetadata", () => this.loaded(), { signal });
    video.addEventListener("error", () => this.failed(), { signal });
  }

  /** Load the original if the browser says that it may play it; otherwise the proxy. */
  open() {
    const { type, original } = this.facts;
    if (type === null || !this.video.canPlayType(type)) return void this.useProxy("This browser cannot play the file's format.");
    this.video.src = media(original);
  }

  /**
   * Have the proxy made, wait for it, and load it.
   * @param {string | null} why
   */
  async useProxy(why) {
    this.video.removeAttribute("src");
    this.video.load(); // lets go of the original
    this.state.set({ source: "proxy", ready: false, progress: 0, why, problem: null });
    const { signal } = this.ended;
    try {
      let proxy = /** @type {Proxy} */ (await send("POST", `/videos/${this.id}/proxy`, undefined, { signal }));
      while (proxy.state === "making" || proxy.state === "none") {
        this.state.set({ progress: proxy.progress });
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        if (signal.aborted) return;
        proxy = /** @type {FilmFacts} */ (await get(`/videos/${this.id}/film`, {}, { signal })).proxy;
      }
      if (proxy.failure) return this.state.set({ progress: null, problem: proxy.failure });
      this.start = 0;
      this.state.set({ progress: null });
      this.video.src = media(proxy.address);
    } catch (error) {
      if (!signal.aborted) this.state.set({ progress: null, problem: asProblem(error) });
    }
  }

  close() {
    this.ended.abort();
    this.video.removeAttribute("src");
    this.video.load();
  }

  loaded() {
    const { videoWidth, videoHeight } = this.video;
    const right = videoHeight > 0 && Math.abs(videoWidth / videoHeight / this.aspect - 1) <= ASPECT;
    if (!right && this.state.value.source === "original")
      return void this.useProxy("This browser would show the picture in another shape.");
    this.state.set({ ready: true });
    this.onready();
  }

  failed() {
    if (!this.video.getAttribute("src")) return;
    if (this.state.value.source === "original") return void this.useProxy("This browser cannot play the file.");
    const remedy = "Load the page again. If it stays so, this browser plays no H.264.";
    this.state.set({ ready: false, problem: { code: "not_playable", message: "The film could not be played.", remedy } });
  }
}
