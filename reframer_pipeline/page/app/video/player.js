/**
 * The playhead: which frame is on the screen, and the verbs of an editing room: seek, step, shuttle, loop.
 *
 * What belongs here: the browser's clock and frame numbers. What does not: which file is played (`film.js`), what is drawn (`overlay.js`).
 *
 * The frame is the one that the browser says it presents (`requestVideoFrameCallback`, its media time less `start`). Where a browser cannot
 * say so, it is the one that the player's clock is in.
 *
 * @typedef {import("./times.js").Times} Times
 * @typedef {{ start_frame: number, end_frame: number }} Range
 * @typedef {{ frame: number, playing: boolean, rate: number, loop: Range | null, muted: boolean }} Head
 */
import { Store } from "../store.js";

export const RATES = [0.1, 0.25, 0.5, 1, 1.5, 2, 4];
const ROUNDED = 6e-4; // seconds: addresses and tables round times
const BACK_MS = 40; // between two pictures when it runs backwards
const UNTOLD_MS = 250; // after a seek; Chromium now and then says nothing of its picture

export class Player {
  /**
   * @param {HTMLVideoElement} video
   * @param {Times} times
   */
  constructor(video, times) {
    this.video = video;
    this.times = times;
    /** Seconds by the browser's clock at which the first frame begins. */
    this.start = 0;
    /** Pictures that were presented, and those of them for which no one was told in time. */
    this.presented = 0;
    this.missed = 0;
    /** @type {Store<Head>} */
    this.head = new Store(/** @type {Head} */ ({ frame: 0, playing: false, rate: 1, loop: null, muted: false }));
    /** @type {number | null} the frame that is being sought */
    this.wanted = null;
    /** @type {number | null} the frame that the browser was last sent to */
    this.asked = null;
    /** @type {number | null} shuttling backwards: frames a second by a timer, since no browser plays backwards */
    this.backwards = null;
    this.last = 0;
    /** @type {(frame: number) => void} called at once when a picture is presented */
    this.onframe = () => {};
    this.ended = new AbortController();
    const { signal } = this.ended;
    video.addEventListener("play", () => this.head.change({ playing: true }), { signal });
    video.addEventListener("pause", () => this.backwards === null && this.head.change({ playing: false }), { signal });
    video.addEventListener("ended", () => this.atEnd(), { signal });
    video.addEventListener("seeked", () => this.sought(), { signal });
    this.listen();
  }

  /** The frame that steps begin from: the one that is being sought, or the one shown. */
  get frame() {
    return this.wanted ?? this.head.value.frame;
  }

  /** @param {number} frame */
  seekFrame(frame) {
    const wanted = Math.min(Math.max(Math.round(frame), 0), this.times.count - 1);
    const busy = this.wanted !== null && this.video.seeking;
    this.wanted = wanted;
    if (!busy) this.go(wanted);
  }

  /** @param {number} frame */
  go(frame) {
    this.asked = frame;
    this.video.currentTime = this.start + this.times.inside(frame);
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.seekFrame(this.times.at(seconds + ROUNDED));
  }

  /** @param {number} frames */
  step(frames) {
    this.pause();
    this.seekFrame(this.frame + frames);
  }

  /** @param {number} steps */
  stepSampled(steps) {
    this.pause();
    this.seekFrame(this.times.stepSampled(this.frame, steps));
  }

  play() {
    this.stopBackwards();
    const { loop } = this.head.value;
    const { frame } = this;
    if (loop && (frame < loop.start_frame || frame >= loop.end_frame - 1)) this.seekFrame(loop.start_frame);
    else if (frame >= this.times.count - 1) this.seekFrame(0);
    this.video.play().catch(() => {}); // refused, or overtaken by a pause
  }

  pause() {
    this.stopBackwards();
    this.video.pause();
    this.head.change({ playing: false });
  }

  toggle() {
    if (this.head.value.playing) this.pause();
    else this.play();
  }

  /** @param {number} rate */
  setRate(rate) {
    this.video.defaultPlaybackRate = rate; // another file begins with it
    this.video.playbackRate = rate;
    this.head.change({ rate });
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.video.muted = muted;
    this.head.change({ muted });
  }

  /**
   * J and L: each press in the same direction goes faster, in the other begins anew.
   * @param {1 | -1} direction
   */
  shuttle(direction) {
    const { playing, rate } = this.head.value;
    const same = playing && (this.backwards === null) === direction > 0;
    const speed = same ? (RATES.find((one) => one >= rate * 2) ?? rate) : 1;
    this.stopBackwards();
    this.setRate(speed);
    if (direction > 0) return same ? undefined : this.play();
    this.video.pause();
    this.head.change({ playing: true });
    let before = performance.now();
    let at = this.times.seconds[this.frame];
    this.backwards = window.setInterval(() => {
      const now = performance.now();
      at -= ((now - before) / 1000) * this.head.value.rate;
      before = now;
      const { loop } = this.head.value;
      const first = loop ? this.times.seconds[loop.start_frame] : 0;
      if (at < first && !loop) return this.pause();
      if (loop && at < first) at = this.times.seconds[loop.end_frame - 1];
      this.seek(at);
    }, BACK_MS);
  }

  /** @param {Range | null} loop */
  setLoop(loop) {
    this.head.change({ loop });
  }

  /** Forget everything about the element. */
  close() {
    this.stopBackwards();
    this.ended.abort();
    this.video.pause();
  }

  stopBackwards() {
    if (this.backwards === null) return;
    window.clearInterval(this.backwards);
    this.backwards = null;
    this.setRate(1);
  }

  listen() {
    const { video } = this;
    if (!HTMLVideoElement.prototype.requestVideoFrameCallback) {
      const look = () => {
        if (this.ended.signal.aborted) return;
        if (!video.seeking && video.readyState >= 2) this.present(this.times.at(video.currentTime - this.start));
        requestAnimationFrame(look);
      };
      return void requestAnimationFrame(look);
    }
    /** @type {VideoFrameRequestCallback} */
    const told = (_, { mediaTime, presentedFrames }) => {
      if (this.ended.signal.aborted) return;
      video.requestVideoFrameCallback(told);
      const frame = this.times.nearest(mediaTime - this.start);
      const between = frame - this.head.value.frame - 1; // Firefox also counts what it decoded ahead of a seek or a start, and never showed
      const skipped = Math.max(0, Math.min(presentedFrames - this.last - 1, between));
      if (this.last && !video.paused) this.missed += skipped;
      this.presented += this.last ? skipped + 1 : 1;
      this.last = presentedFrames;
      this.present(frame);
    };
    video.requestVideoFrameCallback(told);
  }

  /** @param {number} frame */
  present(frame) {
    if (this.wanted === frame || (this.wanted === this.asked && !this.video.seeking)) this.wanted = null;
    this.onframe(frame);
    this.head.change({ frame });
    const { loop } = this.head.value;
    const outside = loop && (frame >= loop.end_frame || frame < loop.start_frame);
    if (outside && !this.video.paused && this.wanted === null) this.seekFrame(loop.start_frame);
  }

  /** A seek has ended: go on to the frame that was wanted meanwhile. If nothing is said of the picture, it is the one that was asked for. */
  sought() {
    const { wanted } = this;
    if (wanted === null) return;
    if (wanted !== this.asked) return this.go(wanted);
    const untold = () => this.wanted === wanted && !this.video.seeking && !this.ended.signal.aborted;
    window.setTimeout(() => untold() && this.present(wanted), UNTOLD_MS);
  }

  atEnd() {
    const { loop } = this.head.value;
    if (!loop) return;
    this.seekFrame(loop.start_frame);
    this.video.play().catch(() => {});
  }
}
