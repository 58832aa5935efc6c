/** Shapes of the video screen: the API's rows as it uses them, and its own state. */

import type { Element, Film, Made, MadeStage, Proxy, Scene, Sighting as AnySighting, ThingClass, Track, Video } from "../types";

export type { Element, Made, MadeStage, Proxy, Scene, Track, Video };
export type Class = ThingClass;
export type FilmFacts = Film;
export type Figures = Pick<Track,
  "area_share" | "max_area_share" | "occlusion" | "overlap" | "mask_stability" | "shape_change" | "speed" | "border_share">;

/** A sighting of a track; boxes are pixels of the picture as displayed. */
export interface Sighting extends AnySighting {
  track_id: string;
}

/** What is in view at a frame: measured there, or told from its neighbours. */
export interface Seen extends Sighting {
  measured: boolean;
}

/** A mask's picture, in its track's colour: `bitmap` belongs at x, y and is so large, in pixels of the video. */
export interface MaskPicture {
  detection_id: string;
  x: number;
  y: number;
  width: number;
  height: number;
  bitmap: ImageBitmap;
}

/** What the address says: which moment, and what is selected. */
export interface Place {
  t: number | null;
  scene: number | null;
  element: number | null;
  track: string | null;
}

/** What is selected, under the pointer, and shown. */
export interface View {
  scene: number | null;
  element: number | null;
  track: string | null;
  hover: string | null;
  hidden: ReadonlySet<string>;
  person: boolean;
  product: boolean;
  boxes: boolean;
  masks: boolean;
  ids: boolean;
}

/** All results of a video that are held whole. */
export interface Results {
  video: Video;
  scenes: Scene[];
  tracks: Track[];
  elements: Element[];
}
