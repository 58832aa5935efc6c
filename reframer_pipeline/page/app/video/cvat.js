/**
 * Taking over what was corrected in CVAT.
 *
 * What belongs here: the window that asks for the file. What does not: what of it counts (docs/corrections.md), sending it (`hand.js`).
 */
import { Dialog } from "../dialog.js";
import { bytes } from "../format.js";
import { html, useState } from "../html.js";
import { useStore } from "../store.js";
import { useActing } from "./hand.js";

const MOST = 50_000_000; // bytes, as the server takes them

/** @param {{ hand: import("./hand.js").Hand, close: () => void }} props */
export function Takeover({ hand, close }) {
  const [file, choose] = useState(/** @type {File | null} */ (null));
  const busy = useStore(hand.state, (state) => state.busy);
  const { act, failed } = useActing();
  const large = file !== null && file.size > MOST;
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (file && (await act(() => hand.take(file)))) close();
  };
  return html`<${Dialog} title="Import from CVAT" close=${close}>
    <form class="stack" onSubmit=${submit}>
      <p>An export of this video that was corrected in CVAT, as CVAT for video 1.1: the XML or the zip. Classes, names, and tracks that were
        deleted, merged or split are taken over as corrections.</p>
      <input type="file" accept=".xml,.zip" required aria-label="Corrected file"
        onChange=${(/** @type {any} */ event) => choose(event.target.files[0] ?? null)} />
      ${large && html`<p class="wrong" role="alert">The file has ${bytes(file.size)}; ${bytes(MOST)} are allowed.</p>`}
      ${failed}
      <div class="row end"><button class="primary" disabled=${busy || !file || large}>${busy ? "Correcting…" : "Import"}</button></div>
    </form>
  <//>`;
}
