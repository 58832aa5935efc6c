/**
 * What the parts of the screen share: film, playhead, selection, and the overlay that follows the presented frame.
 *
 * What belongs here: putting them together, and the verbs that keys and buttons call. What does not: how anything looks (`screen.js`).
 *
 * @typedef {import("./shapes").Results} Results
 * @typedef {import("./shapes").FilmFacts} FilmFacts
 * @typedef {import("./shapes").Sighting} Sighting
 * @typedef {import("./shapes").Place} Place
 */
import { credentials, pages, url } from "../api.js";
import { Film } from "./film.js";
import { Masks } from "./masks.js";
import { Overlay } from "./overlay.js";
import { Player, RATES } from "./player.js";
import { Selection } from "./selection.js";
import { Sightings } from "./sightings.js";
import { Times } from "./times.js";

const AHEAD = 4; // seconds of sightings and masks before the playhead

export class Room {
  /**
   * @param {Results} results
   * @param {Times} times
   * @param {FilmFacts} facts
   * @param {() => void} stale called when newer results have taken the place of these
   */
  constructor(results, times, facts, stale) {
    const { video_id: id, result_id, width, height } = results.video;
    this.results = results;
    this.times = times;
    this.size = { width: width ?? 16, height: height ?? 9 };
    this.video = document.createElement("video");
    Object.assign(this.video, { playsInline: true, preload: "auto", disablePictureInPicture: true, tabIndex: -1 });
    this.player = new Player(this.video, times);
    this.selection = new Selection(results, (seconds) => this.seek(seconds));
    this.film = new Film(this.video, id, facts, this.size.width / this.size.height);
    this.sightings = new Sightings(times, async (from, to) => {
      /** @type {Sighting[]} */
      const rows = [];
      for await (const page of pages(`/videos/${id}/sightings`, { from_seconds: from, to_seconds: to }, "sightings")) rows.push(...page);
      if (rows.length && /** @type {any} */ (rows[0]).result_id !== result_id) stale();
      return rows.filter((one) => one.track_id);
    }, () => this.refresh());
    this.masks = new Masks(
      this.sightings,
      (from, to) => ({ url: url(`/videos/${id}/masks`, { from_seconds: from, to_seconds: to, limit: 2000 }), headers: credentials() }),
      (frame) => frame === this.player.head.value.frame && this.draw(),
    );
    /** @type {Overlay | null} */
    this.overlay = null;
    this.film.onready = () => {
      this.player.start = this.film.start;
      this.player.go(this.player.frame);
    };
    this.film.open(); // before anything else is asked for
    this.report = { presented: -1, drawn: -1, late: 0, maskless: 0, firstPicture: 0 };
  }

  /**
   * Begin, in these elements.
   * @param {HTMLElement} stage
   * @param {HTMLCanvasElement} canvas
   * @returns {() => void} ends it
   */
  mount(stage, canvas) {
    stage.prepend(this.video);
    this.overlay = new Overlay(canvas, this.size.width, this.size.height);
    const sized = new ResizeObserver(() => {
      this.overlay?.fit();
      this.draw();
    });
    sized.observe(canvas);
    this.player.onframe = (frame) => this.presented(frame);
    const ends = [this.selection.view.watch(() => this.draw())];
    /** @type {any} */ (window).reframer = this.told();
    return () => {
      for (const end of ends) end();
      sized.disconnect();
      this.player.close();
      this.film.close();
      this.masks.close();
      this.video.remove();
      delete (/** @type {any} */ (window).reframer);
    };
  }

  /** @param {number} frame */
  presented(frame) {
    this.report.presented = frame;
    if (!this.report.firstPicture) this.report.firstPicture = performance.now();
    if (this.player.wanted === null) this.selection.follow(this.sceneAt(frame)?.scene_number ?? null); // else it is only on the way
    this.fetch(frame);
    const known = this.draw(frame);
    if (!this.video.paused && !known) this.report.late += 1;
    if (!this.video.paused && known && this.awaited(frame)) this.report.maskless += 1;
    document.documentElement.dataset.frame = String(frame);
  }

  /** @param {number} frame */
  fetch(frame) {
    const { rate } = this.player.head.value;
    const ahead = this.player.backwards === null ? AHEAD * Math.max(rate, 1) : -AHEAD * Math.max(rate, 1);
    this.sightings.want(frame, ahead);
    if (this.selection.view.value.masks) this.masks.want(frame, ahead);
  }

  /** Something has come that was waited for. */
  refresh() {
    const { frame } = this.player.head.value;
    this.fetch(frame);
    this.draw();
  }

  /**
   * Draw what is in view; whether it was known.
   * @param {number} [frame]
   */
  draw(frame = this.player.head.value.frame) {
    const seen = this.sightings.at(frame);
    this.overlay?.draw(seen ?? [], this.masks.at(frame) ?? [], this.selection.view.value);
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
   * Go to the scene so many places away. Back goes to the beginning of this one first.
   * @param {1 | -1} steps
   */
  stepScene(steps) {
    const { scenes } = this.results;
    const place = scenes.findIndex((one) => one === this.scene);
    const inside = steps < 0 && place >= 0 && this.player.frame > scenes[place].start_frame;
    const wanted = scenes[Math.min(Math.max(place + (inside ? 0 : steps), 0), scenes.length - 1)];
    if (wanted) this.seek(wanted.start_seconds);
  }

  /**
   * What an address says.
   * @param {Place} place
   */
  open(place) {
    const { scenes, elements, tracks } = this.results;
    const element = elements.find((one) => one.scene_number === place.scene && one.element_number === place.element);
    const track = tracks.find((one) => one.track_id === place.track);
    const scene = scenes.find((one) => one.scene_number === place.scene);
    const begin = place.t ?? element?.start_seconds ?? track?.start_seconds ?? scene?.start_seconds;
    if (begin !== undefined) this.seek(begin);
    this.selection.follow(this.scene?.scene_number ?? null);
    if (element) this.selection.element(element, false);
    else this.selection.track(track?.track_id ?? null);
    this.fetch(this.player.frame);
  }

  /** What is selected now. @returns {Place} */
  get place() {
    const { scene, element, track } = this.selection.view.value;
    return { t: this.times.seconds[this.player.frame] ?? 0, scene, element, track };
  }

  /** The verbs of buttons and keys. @returns {Record<string, () => void>} */
  verbs() {
    const { player, selection } = this;
    const flip = (/** @type {"boxes" | "masks" | "ids"} */ name) => () => {
      selection.view.set({ [name]: !selection.view.value[name] });
      this.refresh();
    };
    const faster = (/** @type {number} */ steps) => () => {
      const place = RATES.indexOf(player.head.value.rate);
      player.setRate(RATES[Math.min(Math.max((place < 0 ? 3 : place) + steps, 0), RATES.length - 1)]);
    };
    return {
      toggle: () => player.toggle(),
      pause: () => (player.head.value.playing ? player.pause() : player.play()),
      back: () => player.step(-1),
      on: () => player.step(1),
      backSampled: () => player.stepSampled(-1),
      onSampled: () => player.stepSampled(1),
      reverse: () => player.shuttle(-1),
      forward: () => player.shuttle(1),
      sceneBefore: () => this.stepScene(-1),
      sceneNext: () => this.stepScene(1),
      first: () => this.seek(0),
      last: () => player.seekFrame(this.times.count - 1),
      loop: () => player.setLoop(player.head.value.loop ? null : this.scene),
      slower: faster(-1),
      faster: faster(1),
      boxes: flip("boxes"),
      masks: flip("masks"),
      ids: flip("ids"),
      sound: () => player.mute(!player.head.value.muted),
      clear: () => selection.clear(),
    };
  }

  /** What tests and measurements look at: `window.reframer`. */
  told() {
    const room = this;
    return {
      room,
      get frame() {
        return room.report.presented;
      },
      get drawn() {
        return room.report.drawn;
      },
      /** Pictures that were shown without their overlay. */
      get dropped() {
        return room.player.missed + room.report.late;
      },
      get maskless() {
        return room.report.maskless;
      },
      get presented() {
        return room.player.presented;
      },
      get firstPicture() {
        return room.report.firstPicture;
      },
      get source() {
        return room.film.state.value.source;
      },
      get boxes() {
        return room.overlay?.drawn.map((one) => ({ ...one, css: room.overlay?.place(one) })) ?? [];
      },
      get masks() {
        return room.masks.at(room.report.presented)?.map(({ bitmap, ...place }) => place) ?? [];
      },
    };
  }
}
