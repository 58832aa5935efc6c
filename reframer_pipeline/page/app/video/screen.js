/** The screen of a video. */
import { html } from "../html.js";
import { useShown } from "../shown.js";

/** @param {{id: string, params: URLSearchParams}} props */
export function VideoScreen({ id }) {
  useShown("Video");
  return html`<h1>Video ${id}</h1>`;
}
