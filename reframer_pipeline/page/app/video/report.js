/**
 * What tests and measurements look at: `window.reframer`.
 *
 * What belongs here: counting, and telling what was counted. What does not: anything that the screen itself needs.
 */
export class Report {
  /** @param {import("./room.js").Room} room */
  constructor(room) {
    this.room = room;
    /** The frame that is shown, and the one whose overlay is drawn; -1 before the first. */
    this.frame = -1;
    this.drawn = -1;
    /** Pictures whose sightings came too late, and whose masks did. */
    this.late = 0;
    this.maskless = 0;
    /** When the first picture was there, as `performance.now()` says it. */
    this.firstPicture = 0;
  }

  /** Pictures that were shown without their overlay. */
  get dropped() {
    return this.room.player.missed + this.late;
  }

  get presented() {
    return this.room.player.presented;
  }

  get source() {
    return this.room.film.state.value.source;
  }

  get boxes() {
    const { overlay } = this.room;
    return overlay?.drawn.map((one) => ({ ...one, css: overlay.place(one) })) ?? [];
  }

  get masks() {
    return this.room.masks.at(this.frame)?.map(({ bitmap, ...place }) => place) ?? [];
  }
}
