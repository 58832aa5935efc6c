/**
 * Small parts that several screens are made of.
 * What belongs here: a part that asks the API for nothing. What does not: anything that one screen alone has.
 */
import { Problem } from "./api.js";
import { html } from "./html.js";

/** Whatever was thrown, as a failure that can be shown. @param {unknown} error @returns {Problem} */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem({ code: "page_error", title: "This page made a mistake.", detail: String(error), remedy: "Load the page again." });
}

/** A sentence, in which what stands between backticks is to be typed. @param {string} text */
export const worded = (text) => text.split("`").map((part, at) => (at % 2 ? html`<code>${part}</code>` : part));

/**
 * A failure: what happened, what to do, its code.
 * @param {{failure: {title?: string, message: string, remedy: string, code: string, requestId?: string}, children?: any}} props
 */
export function Failed({ failure, children }) {
  return html`<div class="notice bad" role="alert">
    <h3 class="wrap">${worded(failure.message)}</h3>
    ${failure.remedy && html`<p class="wrap">${worded(failure.remedy)}</p>`}
    <p class="code mono wrap">${failure.code}${failure.requestId ? ` · request ${failure.requestId}` : ""}</p>
    ${children}
  </div>`;
}

/** What an empty list says. @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}
