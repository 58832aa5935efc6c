/**
 * What was measured of a track, in words and small bars, and the difficulty that follows (docs/difficulty.md says what each figure means for the difficulty).
 *
 * What belongs here: names, words and scales of the figures. What does not: lists of elements (`elements.js`).
 *
 * @typedef {import("./shapes").Figures} Figures
 * @typedef {{ name: string, says: string, value: number | null, text: string, share: number }} Bar
 */
import { number, percent } from "../format.js";
import { html } from "../html.js";
import { TERMS } from "./terms.js";

const FASTEST = 0.5; // frame diagonals a second that fill a bar

/**
 * @param {Figures} of
 * @returns {Bar[]} those that were measured
 */
function barsOf(of) {
  const share = (/** @type {string} */ name, /** @type {string} */ says, /** @type {number | null} */ value) => ({
    name,
    says,
    value,
    text: value === null ? "" : percent(value),
    share: value ?? 0,
  });
  const unsure = of.mask_stability === null ? null : 1 - of.mask_stability;
  return [
    share("Hidden", "Share of it that something else hides.", of.occlusion),
    share("Covered by others", "Share of its box under other boxes. Boxes do not tell who is in front.", of.overlap),
    share("Uncertain outline", "Share of its outline that the mask is not sure of.", unsure),
    share("Change of shape", "How much its area changes from look to look.", of.shape_change),
    {
      name: "Speed",
      says: "Frame diagonals a second.",
      value: of.speed,
      text: of.speed === null ? "" : `${number(of.speed, { maximumFractionDigits: 2 })} diag./s`,
      share: Math.min(1, (of.speed ?? 0) / FASTEST),
    },
    share("Cut by the border", "Share of its sightings at the border of the picture.", of.border_share),
    share("Never seen behind", "Share of its area behind which no frame shows anything. Measured where the camera stands still.", of.plate_never_seen),
    share("Largest size", TERMS["Share of the picture"], of.max_area_share),
  ].filter((bar) => bar.value !== null);
}

/**
 * A difficulty: of one element, with its score if it has one, or of how many. A score is not rounded up: 66.9 is not yet hard, 67 is.
 * @param {{ difficulty: import("../types").Difficulty, score?: number | null, count?: number | null }} props
 */
export function Chip({ difficulty, score = null, count = null }) {
  return html`<span class=${`v-chip ${difficulty}`} title=${score === null ? TERMS.Difficulty : `${TERMS.Difficulty} ${TERMS.Score}`}>${
    count !== null && `${number(count)} `}${difficulty}${score !== null && ` ${number(Math.floor(score))}`}</span>`;
}

/** A mark on what was corrected by hand; nothing on what was not. @param {{ of: { by_hand: string[] } }} props */
export function ByHand({ of }) {
  if (!of.by_hand.length) return null;
  return html`<span class="v-hand" title=${`${TERMS["By hand"]} Here: ${of.by_hand.join(", ")}.`}>by hand</span>`;
}

/** @param {{ of: Figures }} props */
export function Bars({ of }) {
  const bars = barsOf(of);
  if (!bars.length) return html`<p class="dim">Nothing was measured of it.</p>`;
  return html`<dl class="v-bars">
    ${bars.map(
      (bar) => html`<div title=${bar.says}>
        <dt>${bar.name}</dt>
        <dd><meter min="0" max="1" value=${bar.share} aria-label=${bar.name}></meter><span>${bar.text}</span></dd>
      </div>`,
    )}
  </dl>`;
}
