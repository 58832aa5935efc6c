/** Shapes of the API's answers, as docs/api.md and its fellows describe them. */

export type Status = "pending" | "processing" | "completed" | "failed";
export type Scope = "read" | "write" | "admin";
export type ThingClass = "person" | "product";
export type Difficulty = "easy" | "medium" | "hard";

export interface Failure {
  code: string;
  message: string;
  remedy: string;
}

export interface Me {
  email: string;
  scopes: Scope[];
}

export interface Video {
  video_id: string;
  filename: string;
  uploaded_at: string;
  status: Status;
  failure_code: string | null;
  failure_message: string | null;
  duration: number | null;
  width: number | null;
  height: number | null;
  fps: number | null;
  frame_count: number | null;
  codec: string | null;
  size_bytes: number;
  updated_at: string;
  result_id: string | null;
  counts: Record<string, number>;
  demo_models: boolean;
  archived: boolean;
  evicted: boolean;
}

export interface Job {
  job_id: string;
  video_id: string | null;
  filename: string;
  was_theirs: boolean;
  status: Status;
  progress: number;
  stage: { name: string; progress: number; done: number; total: number } | null;
  place_in_queue: number | null;
  seconds_left: number | null;
  held_up_by: Failure | null;
  failure: Failure | null;
  created_at: string;
  updated_at: string;
}

export interface LabelCount {
  label: string;
  hits: number;
  videos: number;
}

export interface Scene {
  scene_number: number;
  start_frame: number;
  end_frame: number;
  start_seconds: number;
  end_seconds: number;
  seconds: number;
  scene_type: ThingClass | "both" | "none";
  importance: number;
  description: string;
  describer: "local" | "gemini";
}

/** What was measured of a track; null where nothing was. */
export interface Figures {
  area_share: number | null;
  max_area_share: number | null;
  occlusion: number | null;
  overlap: number | null;
  mask_stability: number | null;
  shape_change: number | null;
  speed: number | null;
  border_share: number | null;
  plate_never_seen: number | null;
  plate_missing: number | null;
}

export interface Track extends Figures {
  track_id: string;
  class: ThingClass;
  label: string;
  start_frame: number;
  end_frame: number;
  start_seconds: number;
  end_seconds: number;
  seconds: number;
  sightings: number;
  confidence: number;
  scene_number: number | null;
  /** What of it was corrected by hand. */
  by_hand: string[];
}

export interface Sighting {
  frame_number: number;
  timestamp: number;
  ordinal: number;
  detection_id: string;
  track_id: string | null;
  class: ThingClass;
  label: string;
  confidence: number;
  x: number;
  y: number;
  width: number;
  height: number;
  seconds: number | null;
}

export interface Mask {
  frame_number: number;
  timestamp: number;
  mask_id: string;
  detection_id: string;
  frame_height: number;
  frame_width: number;
  mask_rle: string;
  mask_area_pixels: number;
  predicted_iou: number;
  stability: number;
}

export interface Element extends Figures {
  scene_number: number;
  element_number: number;
  class: ThingClass;
  label: string;
  description: string;
  difficulty: Difficulty;
  difficulty_score: number | null;
  reasons: string[];
  measured_difficulty: Difficulty | null;
  model_difficulty: Difficulty | null;
  model_reason: string | null;
  start_seconds: number;
  end_seconds: number;
  seconds: number | null;
  /** Frames that show most of what lies behind it, the best first. */
  plate_frames: number[];
  track_ids: string[];
  match_confidence: number | null;
  source: "local" | "gemini" | null;
  /** What of it, or of its tracks, was corrected by hand. */
  by_hand: string[];
}

/** Something that a person should look at first. */
export interface Doubt {
  number: number;
  kind: "id_switch" | "over_cut" | "mask_outside" | "disagreement" | "one_sighting";
  says: string;
  track_id: string | null;
  other_id: string | null;
  frame_number: number | null;
  scene_number: number | null;
  element_number: number | null;
}

/** What is to be corrected, by the ids of what is published. */
export type Change =
  | { kind: "rename"; track_id: string; label: string }
  | { kind: "class"; track_id: string; class: ThingClass }
  | { kind: "delete"; track_id: string }
  | { kind: "merge"; track_id: string; other_id: string }
  | { kind: "split"; track_id: string; frame: number }
  | { kind: "difficulty"; scene_number: number; element_number: number; difficulty: Difficulty };

export interface Correction {
  number: number;
  change: Change;
  says: string;
  by_you: boolean;
  source: "hand" | "cvat";
  created_at: string;
  undone_at: string | null;
  /** Whether the published results have it; null once it was undone. */
  applied: boolean | null;
  trouble: string | null;
}

export interface Proxy {
  state: "none" | "making" | "ready" | "failed";
  progress: number;
  failure: Failure | null;
  address: string;
}

export interface Film {
  type: string | null;
  original: string;
  start_seconds: number;
  proxy: Proxy;
}

export interface Times {
  seconds: number[];
  sampled: number[];
}

export interface MadeStage {
  stage: string;
  result_id: string | null;
  made_at: string | null;
  seconds: number | null;
  code_version: string | null;
  model: Record<string, unknown> | null;
  settings: Record<string, unknown>;
  rows: number | null;
  cost: Record<string, unknown> | null;
  status: string;
  failure: Failure | null;
}

export interface Made {
  stages: MadeStage[];
  demo_models: boolean;
  may_run_again: boolean;
}

/** What of the results a matte is of, and how it is written; without what is as by default. */
export interface MatteWish {
  tracks?: string[];
  elements?: string[];
  scene?: number;
  form?: "prores" | "webm" | "luma" | "png";
  cutout?: boolean;
  soften?: number;
}

/** The film in another ratio; without what is as by default. */
export interface ReframeWish {
  ratio: string;
  tracks?: string[];
  label?: string;
  letterbox?: boolean;
  scene?: number;
  form?: "mp4" | "json" | "otio" | "sendcmd" | "ae";
}

export type Wish = { kind: "matte"; wish: MatteWish } | { kind: "reframe"; wish: ReframeWish };

/** A matte or a reframed video that somebody asked for. */
export type Deliverable = Wish & {
  deliverable_id: string;
  video_id: string;
  result_id: string;
  status: "wanted" | "making" | "made" | "failed" | "evicted";
  progress: number;
  held_up_by: Failure | null;
  failure: Failure | null;
  filename: string;
  media_type: string;
  bytes: number | null;
  seconds: number | null;
  file: string;
  asked_at: string;
  made_at: string | null;
};

interface HitPlace {
  video_id: string;
  result_id: string;
  filename: string;
  picture: string;
}

export type Hit = HitPlace & (({ in: "tracks" } & Track) | ({ in: "scenes" } & Scene) | ({ in: "elements" } & Element));
