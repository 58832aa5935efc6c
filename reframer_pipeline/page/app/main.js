/**
 * The shell: header, theme, who is signed in, and which screen an address has.
 * What belongs here: what is there on every screen. What does not: what a screen shows.
 */
import { whenRefused } from "./api.js";
import { html, render, useEffect, useRef, useState } from "./html.js";
import { look } from "./jobs.js";
import { Keyboard } from "./keyboard.js";
import { asProblem, Empty, Failed } from "./parts.js";
import { go, route, useRoute } from "./router.js";
import { left, me, restore, signOut } from "./session.js";
import { shown } from "./shown.js";
import { useStore } from "./store.js";
import { DropZone, Transfers, UploadButton } from "./transfers.js";

/**
 * Screens by the first part of their address; each is loaded when it is first shown.
 * @type {Record<string, (route: import("./router.js").Route) => Promise<() => any>>}
 */
const SCREENS = {
  "": async ({ params }) => {
    const { LibraryScreen } = await import("./library.js");
    return () => html`<${LibraryScreen} params=${params} />`;
  },
  search: async ({ params }) => {
    const { SearchScreen } = await import("./search.js");
    return () => html`<${SearchScreen} params=${params} />`;
  },
  uploads: async () => {
    const { ActivityScreen } = await import("./activity.js");
    return () => html`<${ActivityScreen} />`;
  },
  videos: async ({ path: [, id] }) => {
    const { VideoScreen } = await import("./video/screen.js");
    return () => html`<${VideoScreen} key=${id} id=${id} />`;
  },
};
/** @type {[string, string][]} */
const NAVIGATION = [
  ["", "Library"],
  ["search", "Search"],
  ["uploads", "Uploads"],
];

function Shell() {
  const at = useRoute();
  const { demo } = useStore(shown);
  const who = useStore(me);
  const name = at.path[0] ?? "";
  const [help, ask] = useState(false);
  const tell = () => (shown.value.help ?? (() => ask(true)))();
  useEffect(() => void look(), [who]);
  useEffect(() => {
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
    function pressed(/** @type {KeyboardEvent} */ event) {
      const typing = /** @type {HTMLElement} */ (event.target).matches("input:not([type=checkbox], [type=radio]), select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !me.value) return;
      if (event.key === "?") tell();
      else if (event.key === "/") find();
      else if (event.key === "u") document.getElementById("upload")?.click();
      else return;
      event.preventDefault();
    }
  }, []);
  return html`
    <a class="skip" href="#main" onClick=${toContent}>To the content</a>
    <header class="bar">
      <div class="row">
        <a class="brand" href="#/" aria-label="Reframer"><img src="icon.svg" alt="" width="24" height="24" /><span>Reframer</span></a>
        ${who && html`<nav aria-label="Screens">${NAVIGATION.map(([path, title]) => html`<a key=${path} href="#/${path}"
          aria-current=${name === path ? "page" : null}>${title}</a>`)}</nav>`}
        <span class="grow"></span>
        ${who?.scopes.includes("write") && html`<${UploadButton} />`}
        ${who && html`<button class="icon plain" title="Keyboard" aria-label="Keyboard" onClick=${tell}>?</button>`}
        <${Theme} />
        ${who && html`<${Who} email=${who.email} />`}
      </div>
      ${demo && html`<p class="demo">Demonstration models made what is shown here, or part of it. They are of no use on real footage.</p>`}
    </header>
    <${Screen} at=${at} who=${who} />
    ${who?.scopes.includes("write") && html`<${DropZone} /><${Transfers} />`}
    ${help && html`<${Keyboard} close=${() => ask(false)} />`}
  `;
}

/** @param {{email: string}} props */
function Who({ email }) {
  const leave = () =>
    signOut().then(
      () => go("#/signin"),
      (error) => console.error(error),
    );
  const menu = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  useEffect(() => {
    const close = (/** @type {Event} */ event) => {
      const outside = event instanceof KeyboardEvent ? event.key === "Escape" : !menu.current?.contains(/** @type {Node} */ (event.target));
      if (menu.current && outside) menu.current.open = false;
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => (removeEventListener("click", close), removeEventListener("keydown", close));
  }, []);
  return html`<details class="who" ref=${menu}><summary aria-label="Who is signed in" title=${email}>${email[0]?.toUpperCase()}</summary>
    <div class="card stack"><p class="wrap">${email}</p><button onClick=${leave}>Sign out</button></div></details>`;
}

function toContent(/** @type {Event} */ event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** To the field that finds something on this screen; to the search, where there is none. */
function find() {
  const field = /** @type {HTMLElement | null} */ (document.querySelector("main [data-find]"));
  if (field) field.focus();
  else go("#/search");
}

/** @param {{at: import("./router.js").Route, who: import("./types").Me | null}} props */
function Screen({ at, who }) {
  const [drawn, draw] = useState(/** @type {(() => any) | null} */ (null));
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const name = at.path[0] ?? "";
  useEffect(() => {
    let meant = true;
    const found = who === null ? signingIn(at) : Object.hasOwn(SCREENS, name) ? SCREENS[name](at) : Promise.resolve(Nowhere);
    found.then(
      (made) => meant && draw(() => made),
      (error) => meant && draw(() => () => html`<${Failed} failure=${asProblem(error)} />`),
    );
    return () => void (meant = false);
  }, [at, who]);
  const before = useRef(name);
  useEffect(() => {
    if (before.current !== name) main.current?.focus({ preventScroll: true });
    before.current = name;
  }, [name]);
  return html`<main id="main" tabindex="-1" ref=${main}>${drawn?.()}</main>`;
}

const Nowhere = () => html`<${Empty} title="There is nothing under this address."><a class="button" href="#/">To the library</a><//>`;

function Theme() {
  const dark = () =>
    (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const [is, set] = useState(dark);
  const turn = () => {
    document.documentElement.dataset.theme = is ? "light" : "dark";
    localStorage.setItem("reframer.theme", is ? "light" : "dark");
    set(!is);
  };
  return html`<button class="icon plain" onClick=${turn} title=${is ? "Light theme" : "Dark theme"}
    aria-label=${is ? "Light theme" : "Dark theme"}>${is ? "☀" : "☾"}</button>`;
}

/** @param {import("./router.js").Route} at */
async function signingIn({ path, params }) {
  const { SignInScreen } = await import("./signin.js");
  const to = path[0] === "signin" ? params : new URLSearchParams({ to: location.hash });
  return () => html`<${SignInScreen} params=${to} />`;
}

whenRefused(left);
const place = /** @type {Element} */ (document.getElementById("app"));
try {
  await restore();
  if (me.value && route().path[0] === "signin") go("#/", { replace: true });
  render(html`<${Shell} />`, place);
} catch (error) {
  render(
    html`<main><${Failed} failure=${asProblem(error)}><div><button onClick=${() => location.reload()}>Try again</button></div><//></main>`,
    place,
  );
}
