/** The library. */
import { html } from "./html.js";
import { useShown } from "./shown.js";

/** @param {{params: URLSearchParams}} props */
export function LibraryScreen({ params }) {
  useShown("Library");
  return html`<h1>Library</h1>${params.get("name")}`;
}
