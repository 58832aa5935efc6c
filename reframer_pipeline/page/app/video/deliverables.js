/**
 * The mattes and reframed videos that were asked for of a video, by whomever: how they stand, asking for one, and having one deleted.
 *
 * What belongs here: talking to the server. What does not: the windows that ask (`matte.js`, `reframe.js`), the list (`editing.js`).
 *
 * @typedef {import("./shapes").Deliverable} Deliverable
 * @typedef {{ all: Deliverable[] | null, failure: import("../api.js").Problem | null, said: string }} Known the newest wish first; null
 *   until it is known; `said`: of what was asked for here
 */
import { pages, send } from "../api.js";
import { asProblem } from "../parts.js";
import { Store } from "../store.js";

const BUSY_MS = 2000; // between two looks while something is to come
const ROUTES = { matte: "mattes", reframe: "reframes" };

export class Deliverables {
  /**
   * @param {import("./shapes").Video} video whose set is meant
   * @param {AbortSignal} signal that ends it
   */
  constructor({ video_id, result_id }, signal) {
    this.path = `/videos/${video_id}`;
    this.set = /** @type {string} */ (result_id);
    this.signal = signal;
    this.known = new Store(/** @type {Known} */ ({ all: null, failure: null, said: "" }));
    this.timer = 0;
    this.turn = 0;
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  /** Ask how they stand, and go on asking while something is to come. */
  async ask() {
    clearTimeout(this.timer);
    const turn = (this.turn += 1);
    try {
      const all = [];
      if (document.hidden && this.known.value.all) all.push(...this.known.value.all.toReversed());
      else for await (const page of pages(`${this.path}/deliverables`, {}, { signal: this.signal })) all.push(...page.deliverables);
      if (turn === this.turn) this.known.change({ all: all.reverse(), failure: null });
    } catch (error) {
      if (!this.signal.aborted) this.known.change({ failure: asProblem(error) });
    }
    const { all, failure } = this.known.value;
    if (turn === this.turn && !this.signal.aborted && (failure || all?.some(toCome))) this.timer = window.setTimeout(() => this.ask(), BUSY_MS);
  }

  /**
   * Ask for one.
   * @param {import("./shapes").Wish} wished
   * @param {string} [set] whose tracks, scenes and elements are meant
   * @throws {import("../api.js").Problem}
   */
  async wish({ kind, wish }, set = this.set) {
    const one = await send("POST", `${this.path}/${ROUTES[kind]}?result_id=${set}`, wish);
    this.known.change({ said: one.status === "made" ? "It is made already." : "Asked for. It is made also if you leave this page." });
    await this.ask();
  }

  /**
   * Have one deleted; while it is made, that ends.
   * @param {Deliverable} one
   * @throws {import("../api.js").Problem}
   */
  async delete({ deliverable_id }) {
    await send("DELETE", `/deliverables/${deliverable_id}`).catch((error) => {
      if (error.status !== 404) throw error; // gone already
    });
    this.known.change({ said: "" });
    await this.ask();
  }
}

/** Whether something is still to become of it. @param {Deliverable} one */
export const toCome = ({ status }) => status === "wanted" || status === "making";
