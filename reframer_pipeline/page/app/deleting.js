/** Deleting: asking whether it is meant, with all that goes. What belongs here: that question. What does not: deleting (the server). */
import { send } from "./api.js";
import { Dialog } from "./dialog.js";
import { counted } from "./format.js";
import { html, useState } from "./html.js";
import { look } from "./jobs.js";
import { asProblem, Failed } from "./parts.js";

const NAMED = 8;

/**
 * @param {{videos: Pick<import("./types").Video, "video_id" | "filename">[], close: () => void, gone: (all: boolean) => void}} props
 */
export function Deleting({ videos, close, gone }) {
  const [failure, fail] = useState(/** @type {import("./api.js").Problem | null} */ (null));
  const [done, count] = useState(-1);
  const submit = async () => {
    let all = false;
    try {
      for (const [at, { video_id }] of videos.entries()) {
        count(at);
        await send("DELETE", `/videos/${video_id}`).catch((error) => {
          if (error.status !== 404) throw error; // gone already
        });
      }
      all = true;
      close();
    } catch (error) {
      fail(asProblem(error));
      count(-1);
    }
    gone(all);
    look();
  };
  const title = videos.length === 1 ? "Delete this video?" : `Delete ${counted(videos.length, "video")}?`;
  return html`<${Dialog} title=${title} close=${close}>
    <ul class="wrap named">${videos.slice(0, NAMED).map((video) => html`<li key=${video.video_id}>${video.filename}</li>`)}
      ${videos.length > NAMED && html`<li class="dim">and ${videos.length - NAMED} more</li>`}</ul>
    <p>What goes, for good: the stored file, its pictures, everything that was found in it, and its runs. A run that is at it ends.</p>
    <p class="dim">If somebody else has uploaded the same file, theirs stays.</p>
    ${failure && html`<${Failed} failure=${failure} />`}
    <div class="row end">
      <button onClick=${close} autofocus>Keep</button>
      <button class="danger" disabled=${done >= 0}
        onClick=${submit}>${done >= 0 ? `Deleting ${done + 1} of ${videos.length}…` : "Delete"}</button>
    </div>
  <//>`;
}
