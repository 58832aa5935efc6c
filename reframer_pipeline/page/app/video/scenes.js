/**
 * The scenes side by side: what happens, how important it is, and what could be replaced there.
 *
 * @typedef {import("./shapes").Results} Results
 */
import { moment, seconds } from "../format.js";
import { html, useMemo } from "../html.js";
import { useStore } from "../store.js";
import { Chip } from "./figures.js";
import { ofScene, ToMake } from "./making.js";
import { TERMS } from "./terms.js";

/** @type {Record<string, string>} */
const TYPES = { both: "people and products", person: "people", product: "products", none: "neither people nor products" };
const DIFFICULTIES = /** @type {const} */ (["easy", "medium", "hard"]);

/** @param {import("./screen.js").Shared} props */
export function Scenes({ room: { results, selection }, toMake }) {
  const now = useStore(selection.view, (view) => view.scene);
  const counts = useMemo(() => countsOf(results), [results]);
  if (!results.scenes.length) return html`<p class="v-empty">No scenes were found.</p>`;
  return html`<ul class="v-rows v-list" aria-label="Scenes">
    ${results.scenes.map((scene) => {
      const found = counts.get(scene.scene_number);
      return html`<li class=${`v-row ${scene.scene_number === now ? "chosen" : ""}`} key=${scene.scene_number}>
        <button type="button" class="v-row-main" aria-current=${scene.scene_number === now}
          onClick=${() => selection.seek(scene.start_seconds)}>
          <span class="v-row-text">
            <span><b>Scene ${scene.scene_number}</b>${" "}
              <span class="dim">${moment(scene.start_seconds)}, ${seconds(scene.seconds)} long, ${TYPES[scene.scene_type]}</span></span>
            <span class="v-scene-figures">
              <span title=${TERMS.Importance}>Importance <meter min="0" max="10" value=${scene.importance}
                aria-label="Importance"></meter> ${scene.importance}</span>
              ${found
                ? DIFFICULTIES.map((one) => found[one] > 0 && html`<${Chip} difficulty=${one} count=${found[one]} />`)
                : html`<span class="dim">nothing to replace</span>`}
            </span>
            <span>${scene.description}</span>
            ${scene.describer === "gemini" && html`<span class="dim">described by Gemini</span>`}
          </span>
        </button>
        ${scene.scene_number === now && html`<div class="v-group v-scene-tools"><${ToMake} of=${ofScene(scene)} toMake=${toMake} /></div>`}
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
