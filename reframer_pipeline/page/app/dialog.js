/** A window over the screen that waits for an answer. What belongs here: opening and closing it. What does not: what it asks. */
import { html, useEffect, useRef } from "./html.js";

/** @param {{title: string, close: () => void, children?: any, className?: string}} props */
export function Dialog({ title, close, children, className = "" }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => box.current?.showModal(), []);
  const outside = (/** @type {MouseEvent} */ event) => event.target === box.current && close();
  return html`<dialog ref=${box} class=${className} aria-labelledby="dialog-title" onClose=${close} onMouseDown=${outside}>
    <div class="stack">
      <div class="row"><h2 class="grow" id="dialog-title">${title}</h2><button class="plain icon" aria-label="Close" onClick=${close}>×</button></div>
      ${children}
    </div>
  </dialog>`;
}
