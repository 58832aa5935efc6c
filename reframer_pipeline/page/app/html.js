/**
 * The one import of the vendored libraries that draw: templates, components, hooks.
 * What belongs here: their names. What does not: any component.
 */
import { h } from "preact";
import htm from "htm";

export { render } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

/** A template of elements. What is put in is text, never markup. */
export const html = htm.bind(h);
