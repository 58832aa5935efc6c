/**
 * Corrections by hand: asking for them, taking them back, and what is said of it. The screen then shows what follows from them.
 *
 * What belongs here: asking, and the list of what was corrected. What does not: forms (`correct.js`, `cvat.js`), lists (`review.js`), loading
 * the corrected results (`loading.js`). One of these outlives the sets of results that the screen shows.
 *
 * @typedef {import("./shapes").Change} Change
 * @typedef {import("./shapes").Correction} Correction
 * @typedef {import("../api.js").Problem} Problem
 * @typedef {{ busy: boolean, open: boolean, said: string, of: string | null }} State `open`: the forms are; `of`: the set of results that
 *   something is said of
 * @typedef {{ all: Correction[] | null, failure: Problem | null }} Log the newest first; null until it is known
 */
import { pages, send } from "../api.js";
import { counted } from "../format.js";
import { html, useState } from "../html.js";
import { asProblem, Failed } from "../parts.js";
import { Store } from "../store.js";

export class Hand {
  /** @param {import("./loading.js").Loading} loading */
  constructor(loading) {
    this.loading = loading;
    this.path = `/videos/${loading.id}`;
    this.state = new Store(/** @type {State} */ ({ busy: false, open: false, said: "", of: null }));
    this.log = new Store(/** @type {Log} */ ({ all: null, failure: null }));
    this.holder = ""; // what of the forms had the keyboard
  }

  /** The set of results that the screen shows. */
  get shown() {
    return this.loading.known.value.loaded?.results.video.result_id ?? null;
  }

  /**
   * What is to be said beside the results that are shown.
   * @param {State} state
   */
  news({ busy, said, of }) {
    return busy ? "Correcting …" : of === this.shown ? said : "";
  }

  /**
   * Correct what is shown. A track's name is that of one set of results: if others came meanwhile, nobody has seen them yet.
   * @param {Change} change
   */
  correct(change) {
    return this.act(async () => {
      const { shown } = this;
      await this.loading.look();
      if (this.shown !== shown) return "Newer results came meanwhile, so nothing was corrected. Look at them first.";
      return `${(await send("POST", `${this.path}/corrections?result_id=${shown}`, change)).says}.`;
    });
  }

  /** @param {Correction} one that is taken back */
  undo({ number, says }) {
    return this.act(async () => {
      await send("DELETE", `${this.path}/corrections/${number}`);
      return `Taken back: ${says}.`;
    });
  }

  /** @param {File} file a corrected export for CVAT */
  take(file) {
    return this.act(async () => {
      const { corrections } = await send("POST", `${this.path}/cvat`, file);
      return corrections.length ? `${counted(corrections.length, "correction")} from CVAT.` : "The file corrects nothing.";
    });
  }

  /**
   * Do something, one at a time, and show what follows. What had the keyboard has it again.
   * @param {() => Promise<string>} ask what is said then
   * @returns {Promise<Problem | null>} why it could not be done
   */
  async act(ask) {
    if (this.state.value.busy) return null;
    this.state.change({ busy: true });
    const held = holder();
    try {
      const said = await ask();
      this.holder = await held;
      const before = this.shown;
      await Promise.all([this.loading.look(), this.ask()]);
      this.state.change({ said, of: this.shown });
      if (this.shown === before) this.give();
      return null;
    } catch (error) {
      return asProblem(error);
    } finally {
      this.state.change({ busy: false });
    }
  }

  /** Give the keyboard back to what had it, or to the open list if that is there no more; called when other results are on the screen. */
  give() {
    const name = this.holder;
    this.holder = "";
    const act = () => {
      if (document.activeElement !== document.body) return;
      const found = document.querySelector(`[data-hand="${name}"]:enabled`) ?? document.querySelector(".v-tabs [aria-selected=true]");
      if (found instanceof HTMLElement) found.focus();
    };
    if (name) setTimeout(act); // when it is drawn
  }

  /** Ask what was corrected. */
  async ask() {
    try {
      const all = [];
      for await (const page of pages(`${this.path}/corrections`, {}, { signal: this.loading.ended.signal })) all.push(...page.corrections);
      this.log.set({ all: all.reverse(), failure: null });
    } catch (error) {
      if (!this.loading.ended.signal.aborted) this.log.change({ failure: asProblem(error) });
    }
  }
}

/**
 * The name of what has the keyboard, if it is one of the forms'. A button that was clicked has let go of it in a moment.
 * @returns {Promise<string>}
 */
async function holder() {
  await new Promise((go) => setTimeout(go));
  return document.activeElement?.closest("[data-hand]")?.getAttribute("data-hand") ?? "";
}

/** @param {HTMLElement | null} box that is to be seen when it comes */
const seen = (box) => box?.scrollIntoView({ block: "nearest" });

/**
 * For a form: what does something, and why it could not be done.
 * @returns {{ act: (ask: () => Promise<Problem | null>) => Promise<boolean>, failed: any }}
 */
export function useActing() {
  const [failure, fail] = useState(/** @type {Problem | null} */ (null));
  const act = async (/** @type {() => Promise<Problem | null>} */ ask) => {
    fail(null);
    const problem = await ask();
    fail(problem);
    return problem === null;
  };
  return { act, failed: failure && html`<div ref=${seen}><${Failed} failure=${failure} /></div>` };
}
