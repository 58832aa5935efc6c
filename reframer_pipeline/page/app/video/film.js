/**
 * Which file is played: the original, or the proxy where the browser cannot show the original as it is meant.
 *
 * What belongs here: that choice, and waiting for a proxy. What does not: playing (`player.js`).
 *
 * @typedef {import("./shapes").FilmFacts} FilmFacts
 * @typedef {import("./shapes").Proxy} Proxy
 * @typedef {{ source: "original" | "proxy", ready: boolean, progress: number | null, why: string | null,
 *   problem: { message: string, remedy: string, code: string } | null }} FilmState `ready`: there is a file that can be played
 */
import { get, media, OFFLINE, send } from "../api.js";
import { asProblem } from "../parts.js";
import { Store } from "../store.js";

const ASPECT = 0.01; // the share by which the browser's picture may differ in shape
const LOOK_MS = 700; // between two looks at a proxy that is being made

export class Film {
  /**
   * It begins to load at once.
   * @param {import("./shapes").Video} video
   * @param {FilmFacts} facts
   */
  constructor({ video_id: id, width, height }, facts) {
    this.id = id;
    this.facts = facts;
    /** Width over height, as displayed. */
    this.aspect = (width ?? 16) / (height ?? 9);
    /** @type {Store<FilmState>} */
    this.state = new Store(/** @type {FilmState} */ ({ source: "original", ready: false, progress: null, problem: null, why: null }));
    /** Seconds by the browser's clock at which the first frame begins. */
    this.start = 0;
    this.video = document.createElement("video");
    Object.assign(this.video, { playsInline: true, preload: "auto", disablePictureInPicture: true, tabIndex: -1 });
    this.ended = new AbortController();
    const { signal } = this.ended;
    /** @type {() => void} called when a file can be played */
    this.onready = () => {};
    this.video.addEventListener("loadedmetadata", () => this.loaded(), { signal });
    this.video.addEventListener("error", () => this.failed(), { signal });
    this.open();
  }

  /** Load the original if the browser says that it may play it; otherwise the proxy. What went wrong before is forgotten. */
  open() {
    const { type, original, start_seconds } = this.facts;
    this.start = start_seconds;
    this.state.change({ source: "original", ready: false, problem: null });
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
    this.state.change({ source: "proxy", ready: false, progress: 0, why, problem: null });
    const { signal } = this.ended;
    try {
      const made = () => send("POST", `/videos/${this.id}/proxy`, undefined, { signal }); // nothing more happens while it is being made
      let proxy = /** @type {Proxy} */ (await made());
      while (proxy.state === "making" || proxy.state === "none") {
        this.state.change({ progress: proxy.progress });
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        signal.throwIfAborted();
        proxy = proxy.state === "none" ? await made() : (await get(`/videos/${this.id}/film`, {}, { signal })).proxy;
      }
      if (proxy.failure) return this.state.change({ progress: null, problem: proxy.failure });
      this.start = 0;
      this.state.change({ progress: null });
      this.video.src = media(proxy.address);
    } catch (error) {
      if (!signal.aborted) this.state.change({ progress: null, problem: asProblem(error) });
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
    this.state.change({ ready: true });
    this.onready();
  }

  failed() {
    if (!this.video.getAttribute("src")) return;
    if (this.video.error?.code === MediaError.MEDIA_ERR_NETWORK) return this.state.change({ ready: false, problem: asProblem(OFFLINE) });
    if (this.state.value.source === "original") return void this.useProxy("This browser cannot play the file.");
    const remedy = "Load the page again. If it stays so, this browser plays no H.264.";
    this.state.change({ ready: false, problem: { code: "not_playable", message: "The film could not be played.", remedy } });
  }
}
