/**
 * Small pictures on buttons, drawn in the text's colour.
 */
import { html } from "../html.js";

const PATHS = {
  play: "M4 2.5v11l9-5.5z",
  stop: "M4 3h3v10H4zM9 3h3v10H9z",
  back: "M11 3v10L4.5 8z",
  on: "M5 3v10l6.5-5z",
  backSampled: "M13 3v10L6.5 8zM3 3h2v10H3z",
  onSampled: "M3 3v10l6.5-5zM11 3h2v10h-2z",
};

/** @param {{ name: keyof typeof PATHS }} props */
export const Icon = ({ name }) => html`<svg class="v-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path
  d=${PATHS[name]} fill="currentColor" /></svg>`;
