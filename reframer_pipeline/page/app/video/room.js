/**
 * What the parts of the screen share: film, playhead, selection, what the lists show, and the overlay that follows the presented frame.
 *
 * What belongs here: putting them together. What does not: how anything looks (`screen.js`), what buttons and keys do (`verbs.js`).
 *
 * @typedef {import("./shapes").Place} Place
 */
import { credentials, url } from "../api.js";
import { Store } from "../store.js";
import { windowAt } from "./crop.js";
import { Deliverables } from "./deliverables.js";
import { Doubts } from "./doubts.js";
import { UNTOUCHED } from "./lists.js";
import { Masks } from "./masks.js";
import { Overlay } from "./overlay.js";
import { Player } from "./player.js";
import { Report } from "./report.js";
import { Newer, rowsOf } from "./rows.js";
import { Selection } from "./selection.js";
import { Sightings } from "./sightings.js";

const AHEAD = 4; // seconds of sightings and masks before the playhead

export class Room {
  /**
   * @param {import("./loading.js").Loaded} loaded
   * @param {import("./hand.js").Hand} hand
   * @param {() => void} stale called when newer results have taken the place of these
   */
  constructor({ results, times, film }, hand, stale) {
    const { video } = results;
    this.results = results;
    this.hand = hand;
    this.doubts = new Doubts(video);
    this.times = times;
    this.film = film;
    this.size = { width: video.width ?? 16, height: video.height ?? 9 };
    this.ended = new AbortController();
    this.deliverables = new Deliverables(video, this.ended.signal);
    this.player = new Player(film.video, times);
    this.selection = new Selection(results, (seconds) => this.seek(seconds));
    this.lists = new Store(UNTOUCHED);
    /** The reframed video whose window is shown over the film. */
    this.crop = new Store(/** @type {{ id: string, shots: import("./crop.js").Shot[] } | null} */ (null));
    this.sightings = new Sightings(times, async (from, to) => {
      try {
        const rows = await rowsOf(video, "sightings", { from_seconds: from, to_seconds: to }, this.ended.signal);
        return rows.filter((one) => one.track_id);
      } catch (error) {
        if (error instanceof Newer) stale();
        throw error;
      }
    }, () => this.refresh());
    this.masks = new Masks(
      this.sightings,
      (from, to) => ({
        url: url(`/videos/${video.video_id}/masks`, { from_seconds: from, to_seconds: to, limit: 2000 }),
        headers: credentials(),
        result: video.result_id,
      }),
      (frame) => frame === this.player.head.value.frame && this.draw(),
    );
    /** @type {Overlay | null} */
    this.overlay = null;
    this.report = new Report(this);
    film.onready = () => {
      this.player.start = film.start;
      this.player.go(this.player.frame);
    };
    if (film.state.value.ready) film.onready();
  }

  /**
   * Begin, in these elements.
   * @param {HTMLElement} stage
   * @param {HTMLCanvasElement} canvas
   * @returns {() => void} ends it
   */
  mount(stage, canvas) {
    stage.prepend(this.film.video);
    this.overlay = new Overlay(canvas, this.size.width, this.size.height);
    const sized = new ResizeObserver(() => {
      this.overlay?.fit();
      this.draw();
    });
    sized.observe(canvas);
    this.player.onframe = (frame) => this.presented(frame);
    if (this.player.presented) this.presented(this.player.head.value.frame); // it came before the screen
    const ends = [this.selection.view.watch(() => this.draw()), this.crop.watch(() => this.draw()), this.film.state.watch(() => this.changed())];
    /** @type {any} */ (window).reframer = this.report;
    this.doubts.ask(this.ended.signal);
    this.deliverables.ask();
    return () => {
      this.ended.abort();
      for (const end of ends) end();
      sized.disconnect();
      this.player.close();
      this.film.close();
      this.masks.close();
      this.film.video.remove();
      delete (/** @type {any} */ (window).reframer);
    };
  }

  /** @param {number} frame */
  presented(frame) {
    this.report.frame = frame;
    if (!this.report.firstPicture) this.report.firstPicture = performance.now();
    if (this.player.wanted === null) this.selection.follow(this.sceneAt(frame)?.scene_number ?? null); // else it is only on the way
    this.fetch(frame);
    const known = this.draw(frame);
    const { paused } = this.film.video;
    if (!paused && !known) this.report.late += 1;
    if (!paused && known && this.awaited(frame)) this.report.maskless += 1;
    document.documentElement.dataset.frame = String(frame);
  }

  /** @param {number} frame */
  fetch(frame) {
    const { rate } = this.player.head.value;
    const ahead = this.player.backwards === null ? AHEAD * Math.max(rate, 1) : -AHEAD * Math.max(rate, 1);
    this.sightings.want(frame, ahead);
    if (this.selection.view.value.masks) this.masks.want(frame, ahead);
  }

  /** The film has become another, or cannot be played: what is drawn belongs to what is played. */
  changed() {
    if (!this.film.state.value.ready && this.player.head.value.playing) this.player.pause();
    this.draw();
  }

  /** Something has come that was waited for, or is to be asked for again. */
  refresh() {
    if (this.ended.signal.aborted) return;
    const { frame } = this.player.head.value;
    this.fetch(frame);
    this.draw();
  }

  /**
   * Draw what is in view, if there is a film that it belongs to; whether it was known.
   * @param {number} [frame]
   */
  draw(frame = this.player.head.value.frame) {
    const { ready } = this.film.state.value;
    const seen = ready ? this.sightings.at(frame) : null;
    const crop = ready && this.crop.value ? windowAt(this.crop.value.shots, frame, this.times.seconds[frame] ?? 0) : null;
    this.overlay?.draw(seen ?? [], (seen && this.masks.at(frame)) ?? [], this.selection.view.value, crop);
    if (seen) this.report.drawn = frame;
    if (seen) document.documentElement.dataset.drawn = String(frame);
    return seen !== null;
  }

  /**
   * Whether masks belong here that are not made yet.
   * @param {number} frame
   */
  awaited(frame) {
    const sampled = this.times.sampled[this.times.sampledPlace(frame)] === frame;
    return sampled && this.selection.view.value.masks && this.masks.at(frame) === null;
  }

  /** @param {number} frame */
  sceneAt(frame) {
    return this.results.scenes.find((one) => frame >= one.start_frame && frame < one.end_frame) ?? null;
  }

  /**
   * Go to a moment; a loop goes along.
   * @param {number} seconds
   */
  seek(seconds) {
    this.player.seek(seconds);
    const { loop } = this.player.head.value;
    const { frame } = this.player;
    if (loop && (frame < loop.start_frame || frame >= loop.end_frame)) this.player.setLoop(this.sceneAt(frame));
  }

  /** The scene that steps begin from. */
  get scene() {
    return this.sceneAt(this.player.frame);
  }

  /**
   * What an address says.
   * @param {Place} place
   */
  open(place) {
    const { scenes, elements, tracks } = this.results;
    this.lists.set(place.lists);
    const track = tracks.find((one) => one.track_id === place.track);
    const numbered = elements.find((one) => one.scene_number === place.scene && one.element_number === place.element);
    const same = place.track === null || numbered?.track_ids.includes(place.track); // corrections number elements anew
    const element = same ? numbered : undefined;
    const scene = scenes.find((one) => one.scene_number === place.scene);
    const begin = place.t ?? element?.start_seconds ?? track?.start_seconds ?? scene?.start_seconds;
    if (begin !== undefined) this.seek(begin);
    this.selection.follow(this.scene?.scene_number ?? null);
    if (element) this.selection.element(element, false);
    else this.selection.track(track?.track_id ?? null);
    this.fetch(this.player.frame);
  }

  /** What an address is to say now. @returns {Place} */
  get place() {
    const { scene, element, track } = this.selection.view.value;
    return { t: this.times.seconds[this.player.frame] ?? 0, scene, element, track, lists: this.lists.value };
  }
}
