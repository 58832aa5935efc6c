/**
 * Exporting: what of it, and in which format.
 * What belongs here: the window, for the library and for one video. What does not: the formats in words (`formats`), making them (the server),
 * the download (`downloading`).
 *
 * @typedef {{name: string, says: string, tracks: string[]}} Part `tracks`: only these; none: everything
 */
import { Dialog } from "./dialog.js";
import { download } from "./downloading.js";
import { counted } from "./format.js";
import { FORMATS } from "./formats.js";
import { html, useState } from "./html.js";
import { asProblem, Failed } from "./parts.js";

/** @type {Part[]} */
const WHOLE = [{ name: "all", says: "", tracks: [] }];

/**
 * @param {{videos: import("./types").Video[], close: () => void, parts?: Part[], first?: string, looked?: string}} props `parts`: of one
 *   video, of which `first` is chosen; `looked`: how many of its frames were looked at
 */
export function Exporting({ videos, close, parts = WHOLE, first = parts[0].name, looked = "By default every fifth frame was looked at." }) {
  const ready = videos.filter((video) => video.result_id);
  const [format, choose] = useState("coco");
  const [chosen, turn] = useState(first);
  const [failure, fail] = useState(/** @type {import("./api.js").Problem | null} */ (null));
  const [busy, work] = useState(false);
  const part = parts.find((one) => one.name === chosen) ?? parts[0];
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    work(true);
    fail(null);
    try {
      await take(ready, format, part.tracks);
      close();
    } catch (error) {
      fail(asProblem(error));
      work(false);
    }
  };
  const missing = videos.length - ready.length;
  const what = videos.length === 1 ? videos[0].filename : counted(videos.length, "video");
  return html`<${Dialog} title=${`Export ${what}`} close=${close} className="exporting">
    ${
      missing > 0 &&
      html`<p class="notice warn">
        ${ready.length ? `${counted(missing, "video has", "videos have")} no results yet, and will not be in it.` : "None of them has results yet. Wait until they are ready."}</p>`
    }
    <form class="stack" onSubmit=${submit}>
      ${
        part.says &&
        html`<fieldset><legend>What is exported</legend>
          ${parts.map(
            ({ name, says }) => html`<label class="choice" key=${name}>
              <input type="radio" name="part" value=${name} checked=${name === part.name} onChange=${() => turn(name)} />
              <span class="wrap">${says}</span></label>`,
          )}
          ${part.tracks.length > 0 && html`<p class="holds">Nothing of other tracks is in it, and all scenes are.</p>`}
        </fieldset>`
      }
      ${FORMATS.map(
        ([use, formats]) => html`<fieldset key=${use}><legend>${use}</legend>
          ${formats.map(
            ({ format: one, name, says, holds, looked: some }) => html`<label class="choice" key=${one}>
                <input type="radio" name="format" value=${one} checked=${format === one} onChange=${() => choose(one)}
                  aria-describedby=${format === one ? "format-holds" : null} />
                <span><b>${name}</b> <span class="dim">${says}</span></span></label>
              ${format === one && html`<p class="holds" id="format-holds">${holds}${some && ` ${looked}`}</p>`}`,
          )}
        </fieldset>`,
      )}
      ${failure && html`<${Failed} failure=${failure} />`}
      <div class="row end"><button class="primary" disabled=${busy || !ready.length}>${busy ? "Beginning…" : "Download"}</button></div>
    </form>
  <//>`;
}

/**
 * Download them.
 * @param {import("./types").Video[]} videos @param {string} format @param {string[]} tracks of the set of results that the video is shown with
 * @throws {import("./api.js").Problem}
 */
function take(videos, format, tracks) {
  const [one] = videos;
  const alone = videos.length === 1;
  const path = alone ? `/videos/${one.video_id}/export` : "/export";
  const of = alone ? { track_id: tracks, result_id: tracks.length ? one.result_id : null } : { video_id: videos.map((video) => video.video_id) };
  return download(path, { format, ...of });
}
