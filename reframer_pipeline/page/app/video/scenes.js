/**
 * The scenes side by side: what happens, how important it is, and what could be replaced there.
 *
 * @typedef {import("./shapes").Results} Results
 */
import { moment, seconds } from "../format.js";
import { html, useMemo } from "../html.js";
import { useStore } from "../store.js";

/** @type {Record<string, string>} */
const TYPES = { both: "people and products", person: "people", product: "products", none: "neither people nor products" };

/** @param {{ results: Results, selection: import("./selection.js").Selection }} props */
export function Scenes({ results, selection }) {
  const now = useStore(selection.view, (view) => view.scene);
  const counts = useMemo(() => countsOf(results), [results]);
  if (!results.scenes.length) return html`<p class="v-empty">No scenes were found.</p>`;
  return html`<ul class="v-rows v-list" aria-label="Scenes">
    ${results.scenes.map((scene) => {
      const found = counts.get(scene.scene_number) ?? { easy: 0, medium: 0, hard: 0 };
      return html`<li class=${`v-row ${scene.scene_number === now ? "chosen" : ""}`} key=${scene.scene_number}>
        <button type="button" class="v-row-main" aria-current=${scene.scene_number === now}
          onClick=${() => selection.seek(scene.start_seconds)}>
          <span class="v-row-text">
            <span class="v-row-name">Scene ${scene.scene_number}${" "}
              <span class="dim">${moment(scene.start_seconds)}, ${seconds(scene.seconds)} long, ${TYPES[scene.scene_type]}</span></span>
            <span class="v-words">${scene.description}</span>
            <span class="v-scene-figures">
              <span>Importance <meter min="0" max="10" value=${scene.importance} aria-label="Importance"></meter> ${scene.importance}</span>
              ${/** @type {const} */ (["easy", "medium", "hard"]).map((one) => found[one] > 0 && html`<span
                class=${`v-chip ${one}`}>${found[one]} ${one}</span>`)}
              ${scene.describer === "gemini" && html`<span class="dim">described by Gemini</span>`}
            </span>
          </span>
        </button>
      </li>`;
    })}
  </ul>`;
}

/** @param {Results} results */
function countsOf({ elements }) {
  /** @type {Map<number, Record<import("../types").Difficulty, number>>} */
  const counts = new Map();
  for (const one of elements) {
    const found = counts.get(one.scene_number) ?? { easy: 0, medium: 0, hard: 0 };
    found[one.difficulty] += 1;
    counts.set(one.scene_number, found);
  }
  return counts;
}
