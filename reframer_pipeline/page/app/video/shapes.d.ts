/** Shapes of the video screen: the API's rows as it uses them, and its own state. */

import type { Change, Correction, Deliverable, Doubt, Element, Film, Made, MadeStage, Proxy, Scene, Sighting as AnySighting, ThingClass, Track, Video, Wish } from "../types";

export type { Change, Correction, Deliverable, Doubt, Element, Made, MadeStage, Proxy, Scene, Track, Video, Wish };
export type Class = ThingClass;
export type FilmFacts = Film;
export type Figures = Pick<Track,
  "area_share" | "max_area_share" | "occlusion" | "overlap" | "mask_stability" | "shape_change" | "speed" | "border_share" | "plate_never_seen">;

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

/** What the address says: which moment, what is selected, and what the lists beside the film show. */
export interface Place {
  t: number | null;
  scene: number | null;
  element: number | null;
  track: string | null;
  lists: Lists;
}

/** How the lists beside the film are turned over, filtered and ordered; "" is what stands first in `CHOICES` of `lists.js`. */
export interface Lists {
  tab: string;
  /** Elements: of this scene, or of the whole film. */
  of: string;
  sort: string;
  class: string;
  /** Tracks: words that they have. */
  find: string;
}

/** What is selected, under the pointer, ticked for export, and shown. */
export interface View {
  scene: number | null;
  element: number | null;
  track: string | null;
  hover: string | null;
  ticked: ReadonlySet<Element>;
  hidden: ReadonlySet<string>;
  person: boolean;
  product: boolean;
  boxes: boolean;
  masks: boolean;
  ids: boolean;
}

/** What a matte is of, or what a reframed video follows: elements stand for their tracks; neither: whatever is in the scene, or the film. */
export interface Chosen {
  says: string;
  tracks: string[];
  elements: string[];
  scene: number | null;
}

/** All results of a video that are held whole. */
export interface Results {
  video: Video;
  scenes: Scene[];
  tracks: Track[];
  elements: Element[];
}
