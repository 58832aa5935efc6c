/** What the page uses of the vendored libraries, in types. Their own declarations are not shipped: a template is not type-checked anyway. */

declare module "preact" {
  export type VNode = object;
  export type Child = VNode | string | number | boolean | null | undefined | Child[];
  export function h(type: unknown, props: object | null, ...children: Child[]): VNode;
  export function render(node: VNode | null, parent: Element): void;
  export const Fragment: (props: { children?: Child }) => Child;
}

declare module "preact/hooks" {
  export type Set<T> = (value: T | ((before: T) => T)) => void;
  export function useState<T>(first: T | (() => T)): [T, Set<T>];
  export function useReducer<S, A>(reducer: (state: S, action: A) => S, first: S): [S, (action: A) => void];
  export function useEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
  export function useLayoutEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
  export function useRef<T>(first: T): { current: T };
  export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
  export function useCallback<T extends (...args: any[]) => any>(callback: T, inputs: readonly unknown[]): T;
}

declare module "htm" {
  const htm: { bind<H>(h: H): (strings: TemplateStringsArray, ...values: any[]) => import("preact").VNode };
  export default htm;
}

/** A script, not a module: it makes the global `tus`. */
declare module "tus-js-client" {}

interface TusPrevious {
  size: number | null;
  metadata: Record<string, string>;
  creationTime: string;
  urlStorageKey: string;
  uploadUrl: string | null;
}

interface TusUpload {
  url: string | null;
  findPreviousUploads(): Promise<TusPrevious[]>;
  resumeFromPreviousUpload(previous: TusPrevious): void;
  start(): void;
  abort(terminate?: boolean): Promise<void>;
}

interface TusError extends Error {
  originalRequest?: unknown;
  originalResponse?: { getStatus(): number; getBody(): string; getHeader(name: string): string | undefined } | null;
}

declare const tus: {
  defaultOptions: { urlStorage: { findAllUploads(): Promise<TusPrevious[]>; removeUpload(key: string): Promise<void> } };
  Upload: new (file: Blob, options: Record<string, unknown>) => TusUpload;
};
