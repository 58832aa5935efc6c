/**
 * The shell: header, theme, who is signed in, and which screen an address has.
 * What belongs here: what is there on every screen. What does not: what a screen shows.
 */
import { configure, whenRefused } from "./api.js";
import { html, render, useEffect, useRef, useState } from "./html.js";
import { asProblem, Empty, Failed } from "./parts.js";
import { go, route, useRoute } from "./router.js";
import { useWhatIsShown } from "./shown.js";

/**
 * Screens by the first part of their address; each is loaded when it is first shown.
 * @type {Record<string, (route: import("./router.js").Route) => Promise<() => any>>}
 */
const SCREENS = {
  "": async ({ params }) => {
    const { LibraryScreen } = await import("./library.js");
    return () => html`<${LibraryScreen} params=${params} />`;
  },
  videos: async ({ path: [, id], params }) => {
    const { VideoScreen } = await import("./video/screen.js");
    return () => html`<${VideoScreen} key=${id} id=${id} params=${params} />`;
  },
};

function Shell() {
  const at = useRoute();
  const { demo } = useWhatIsShown();
  const name = at.path[0] ?? "";
  return html`
    <a class="skip" href="#main">To the content</a>
    <header class="bar">
      <div class="row">
        <a class="brand" href="#/"><img src="icon.svg" alt="" /><span>Reframer</span></a>
        <nav aria-label="Screens">
          <a href="#/" aria-current=${name === "" ? "page" : null}>Library</a>
        </nav>
        <span class="grow"></span>
        <${Theme} />
      </div>
      ${demo && html`<p class="demo">Made by the demonstration models. They are of no use on real footage.</p>`}
    </header>
    <${Screen} at=${at} />
  `;
}

/** @param {{at: import("./router.js").Route}} props */
function Screen({ at }) {
  const [drawn, draw] = useState(/** @type {(() => any) | null} */ (null));
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const name = at.path[0] ?? "";
  useEffect(() => {
    let meant = true;
    const found = Object.hasOwn(SCREENS, name) ? SCREENS[name](at) : Promise.resolve(Nowhere);
    found.then(
      (made) => meant && draw(() => made),
      (error) => meant && draw(() => () => html`<${Failed} failure=${asProblem(error)} />`),
    );
    return () => void (meant = false);
  }, [at]);
  useEffect(() => main.current?.focus({ preventScroll: true }), [name]);
  return html`<main id="main" tabindex="-1" ref=${main}>${drawn?.()}</main>`;
}

const Nowhere = () => html`<${Empty} title="There is nothing under this address."><a class="button" href="#/">To the library</a><//>`;

function Theme() {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const [is, set] = useState(dark);
  const turn = () => {
    document.documentElement.dataset.theme = is ? "light" : "dark";
    localStorage.setItem("reframer.theme", is ? "light" : "dark");
    set(!is);
  };
  return html`<button class="icon plain" onClick=${turn} title=${is ? "Light theme" : "Dark theme"} aria-label=${is ? "Light theme" : "Dark theme"}>${is ? "☀" : "☾"}</button>`;
}

await configure();
whenRefused(() => route().path[0] !== "signin" && go(`#/signin?to=${encodeURIComponent(location.hash)}`));
render(html`<${Shell} />`, /** @type {Element} */ (document.getElementById("app")));
