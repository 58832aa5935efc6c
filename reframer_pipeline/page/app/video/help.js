/**
 * What the screen says of itself when it is asked: its words and its keys.
 *
 * What belongs here: the window. What does not: the words (`terms.js`), the keys (`keys.js`).
 */
import { Dialog } from "../dialog.js";
import { html } from "../html.js";
import { LIST } from "./keys.js";
import { TERMS } from "./terms.js";

/** @param {{ close: () => void }} props */
export function Help({ close }) {
  return html`<${Dialog} title="Words and keys" close=${close} className="v-help">
    <div class="v-help-parts">
      <section><h3>Words</h3><dl class="v-terms">${Object.entries(TERMS).map(
        ([word, says]) => html`<div key=${word}><dt>${word}</dt><dd>${says}</dd></div>`,
      )}</dl></section>
      <section><h3>Keys</h3><dl class="keys">${LIST.map(
        ([keys, says]) => html`<div key=${keys}><dt><kbd>${keys}</kbd></dt><dd>${says}</dd></div>`,
      )}</dl></section>
    </div>
  <//>`;
}
