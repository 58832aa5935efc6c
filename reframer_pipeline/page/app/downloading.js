/**
 * Beginning a download. What is wrong is found out first: a browser would save the failure as a file.
 * What belongs here: that alone. What does not: what is downloaded.
 */
import { credentials, media, Problem, sameOrigin, url } from "./api.js";

/** @param {string} path @param {Record<string, unknown>} [params] @throws {Problem} */
export async function download(path, params = {}) {
  const look = new AbortController();
  const answer = await fetch(url(path, params), {
    headers: credentials(),
    signal: look.signal,
    credentials: sameOrigin() ? "same-origin" : "omit",
  });
  if (!answer.ok) throw Problem.of(answer.status, await answer.text());
  look.abort();
  const anchor = Object.assign(document.createElement("a"), { href: media(path, params), download: "" });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}
