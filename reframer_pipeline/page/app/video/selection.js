/**
 * What is selected, under the pointer, ticked for export, and shown: one truth for picture, timeline and lists.
 *
 * What belongs here: the verbs that change it. What does not: the address (`address.js`), the playhead (`player.js`). The scene is always
 * the one that the playhead is in.
 *
 * @typedef {import("./shapes").View} View
 * @typedef {import("./shapes").Element} Element
 * @typedef {import("./shapes").Results} Results
 */
import { Store } from "../store.js";

export class Selection {
  /**
   * @param {Results} results
   * @param {(seconds: number) => void} seek
   */
  constructor(results, seek) {
    this.results = results;
    this.seek = seek;
    /** @type {Store<View>} */
    this.view = new Store(
      /** @type {View} */ ({
        scene: null,
        element: null,
        track: null,
        hover: null,
        ticked: new Set(),
        hidden: new Set(),
        person: true,
        product: true,
        boxes: true,
        masks: true,
        ids: true,
      }),
    );
  }

  /**
   * @param {number | null} number of the scene that the playhead is in
   */
  follow(number) {
    const { scene, track } = this.view.value;
    if (scene !== number) this.view.change({ scene: number, element: this.elementOf(track, number)?.element_number ?? null });
  }

  /**
   * Select an element and its track.
   * @param {Element} element
   * @param {boolean} [go] whether to go to its beginning
   */
  element(element, go = true) {
    if (go) this.seek(element.start_seconds);
    this.view.change({ scene: element.scene_number, element: element.element_number, track: element.track_ids[0] ?? null });
  }

  /**
   * Select a track; the element of this scene that stands for it, too.
   * @param {string | null} track
   */
  track(track) {
    this.view.change({ track, element: this.elementOf(track, this.view.value.scene)?.element_number ?? null });
  }

  /**
   * The element of a scene that a track is.
   * @param {string | null} track
   * @param {number | null} scene
   */
  elementOf(track, scene) {
    return this.results.elements.find((one) => track !== null && one.scene_number === scene && one.track_ids.includes(track));
  }

  /**
   * Draw and hide what another one does.
   * @param {Selection} other
   * @param {boolean} same whether its tracks have the names of these
   */
  like(other, same) {
    const { hidden, person, product, boxes, masks, ids } = other.view.value;
    this.view.change({ person, product, boxes, masks, ids, ...(same && { hidden }) });
  }

  /** @param {string | null} track */
  hover(track) {
    this.view.change({ hover: track });
  }

  /**
   * Show tracks or hide them.
   * @param {string[]} tracks
   * @param {boolean} shown
   */
  show(tracks, shown) {
    this.view.change({ hidden: changed(this.view.value.hidden, tracks, !shown) });
  }

  /**
   * Tick elements for export, or untick them.
   * @param {Iterable<Element>} elements
   * @param {boolean} on
   */
  tick(elements, on) {
    this.view.change({ ticked: changed(this.view.value.ticked, elements, on) });
  }

  clear() {
    this.view.change({ element: null, track: null });
  }
}

/**
 * A set with some more, or without them.
 * @template T
 * @param {ReadonlySet<T>} set
 * @param {Iterable<T>} ones
 * @param {boolean} inside
 */
function changed(set, ones, inside) {
  const next = new Set(set);
  for (const one of ones) if (inside) next.add(one);
  else next.delete(one);
  return next;
}
