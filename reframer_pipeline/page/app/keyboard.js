/** The list of keys. What belongs here: telling them. What does not: hearing them, which each screen does itself. */
import { Dialog } from "./dialog.js";
import { html } from "./html.js";

/** @type {[string, [string, string][]][]} */
const KEYS = [
  [
    "Everywhere",
    [
      ["/", "Find"],
      ["U", "Upload"],
      ["?", "This list"],
      ["Esc", "Close"],
    ],
  ],
  [
    "Library",
    [
      ["← → ↑ ↓", "To the next video"],
      ["Enter", "Open it"],
      ["X", "Select it; with Shift, all up to it"],
      ["Ctrl A", "Select all"],
      ["Delete", "Delete the selected"],
      ["Esc", "Select none"],
    ],
  ],
];

/** @param {{close: () => void}} props */
export function Keyboard({ close }) {
  return html`<${Dialog} title="Keyboard" close=${close}>
    ${KEYS.map(([place, keys]) => html`<section key=${place}><h3>${place}</h3><dl class="keys">${keys.map(([key, says]) => html`<div><dt>
      <kbd>${key}</kbd></dt><dd>${says}</dd></div>`)}</dl></section>`)}
    <p class="dim">A video's screen has keys of its own: press ? there.</p>
  <//>`;
}
