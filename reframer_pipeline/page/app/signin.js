/** The screen that lets a person in. What belongs here: its form. What does not: what signing in is (`session`). */
import { host } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { asProblem, Failed } from "./parts.js";
import { go } from "./router.js";
import { signIn } from "./session.js";
import { useShown } from "./shown.js";

/** @param {{params: URLSearchParams}} props */
export function SignInScreen({ params }) {
  useShown("Sign in");
  const [failure, fail] = useState(/** @type {import("./api.js").Problem | null} */ (null));
  const [busy, work] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), []);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const secret = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("key")).trim();
    work(true);
    fail(null);
    try {
      await signIn(secret);
      const to = params.get("to") ?? "";
      go(to.startsWith("#/") ? to : "#/");
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status === 401) problem.remedy = "Paste the whole key, from vr_ on. Keys expire, and can be revoked.";
      fail(problem);
    } finally {
      work(false);
    }
  };
  return html`<div class="signin">
    <h1>Sign in</h1>
    <form class="card" onSubmit=${submit}>
      <label class="field"><span>Key</span>
        <input name="key" type="password" required autocomplete="current-password" placeholder="vr_…" ref=${input} spellcheck=${false} /></label>
      <button class="primary" disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
      ${failure && html`<${Failed} failure=${failure} />`}
    </form>
    <div class="stack dim">
      <p>A key begins with <code>vr_</code>. Whoever runs ${host()} gives you one: <code>reframer keys add</code> in a terminal there
        prints it.</p>
      <p>Started in a terminal, <code>reframer serve</code> prints an address that needs no key, as long as nobody else has one. Open it once.
        If there is none, make a key.</p>
    </div>
  </div>`;
}
