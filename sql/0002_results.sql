-- The manifest, the rows of each stage, and the set that readers see.
-- Every row carries its result's id, and that id is part of each unique and foreign key: results of different settings lie
-- beside one another, and deleting a manifest row deletes exactly its own.

-- How results of a stage are made, whatever the video: two results of one recipe differ by their video alone. So "is it fresh" is one
-- comparison, and "why is it stale" a comparison of two recipes.
CREATE TABLE recipes (
    digest       text PRIMARY KEY,
    stage        text NOT NULL,
    code_version integer NOT NULL,
    settings     jsonb NOT NULL,
    weights      text,
    inputs       jsonb NOT NULL                                -- stage to recipe
);

CREATE TABLE results (
    result_id        uuid PRIMARY KEY,                         -- UUIDv5 of the stage key
    video_id         uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    stage            text NOT NULL CHECK (stage IN ('metadata', 'frames', 'detections', 'masks', 'trajectories', 'scenes')),
    stage_key        text NOT NULL UNIQUE,                     -- digest of the components
    recipe           text NOT NULL REFERENCES recipes (digest),
    components       jsonb NOT NULL,                           -- what the result is a function of
    object_key       text NOT NULL,                            -- Parquet, relative to the store
    object_bytes     bigint NOT NULL,
    attachment_key   text,                                     -- the frame store of `frames`
    attachment_bytes bigint,
    row_count        bigint NOT NULL CHECK (row_count >= 0),
    content_digest   text NOT NULL,                            -- over the rows, whatever their batches
    seconds          double precision NOT NULL,                -- computing and writing the object
    stats            jsonb NOT NULL DEFAULT '{}',
    checks           jsonb NOT NULL DEFAULT '[]',
    run_id           text,
    created_at       timestamptz NOT NULL,
    recomputed_at    timestamptz,                              -- the last time the same result was made again
    UNIQUE (video_id, result_id),
    UNIQUE (video_id, stage, result_id)
);
CREATE INDEX idx_results_newest ON results (video_id, stage, created_at DESC);

CREATE TABLE published (
    video_id     uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    stage        text NOT NULL,
    result_id    uuid NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, stage),
    FOREIGN KEY (video_id, stage, result_id) REFERENCES results (video_id, stage, result_id)
);
CREATE INDEX idx_published_result_id ON published (result_id);

CREATE TABLE detections (
    id             uuid NOT NULL,                              -- UUIDv5(result_id, "frame:ordinal")
    video_id       uuid NOT NULL,
    result_id      uuid NOT NULL,
    frame_number   integer NOT NULL CHECK (frame_number >= 0),
    "timestamp"    double precision NOT NULL,
    ordinal        integer NOT NULL,
    detection_data jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (result_id, id),
    UNIQUE (result_id, frame_number, ordinal),
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE
);
CREATE INDEX idx_detections_frame_number ON detections (video_id, frame_number);
CREATE INDEX idx_detections_id ON detections (id);
CREATE INDEX idx_detections_data ON detections USING gin (detection_data jsonb_path_ops);

CREATE TABLE segmentation_masks (
    id                  uuid NOT NULL,                         -- UUIDv5(result_id, detection_id)
    video_id            uuid NOT NULL,
    result_id           uuid NOT NULL,
    detection_result_id uuid NOT NULL,                         -- the detections this was made from
    detection_id        uuid NOT NULL,
    frame_number        integer NOT NULL CHECK (frame_number >= 0),
    "timestamp"         double precision NOT NULL,
    mask_rle            text NOT NULL,                         -- COCO run lengths, column-major, zeros first: "3,5,10"
    mask_area_pixels    bigint NOT NULL CHECK (mask_area_pixels >= 0),
    height              integer NOT NULL CHECK (height > 0),
    width               integer NOT NULL CHECK (width > 0),
    predicted_iou       real NOT NULL,
    stability           real NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (result_id, id),
    UNIQUE (result_id, detection_id),
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE,
    FOREIGN KEY (detection_result_id, detection_id) REFERENCES detections (result_id, id)
);
CREATE INDEX idx_masks_detection_id ON segmentation_masks (detection_result_id, detection_id);
CREATE INDEX idx_masks_frame_number ON segmentation_masks (video_id, frame_number);

CREATE TABLE tracking_trajectories (
    id              uuid NOT NULL,                             -- UUIDv5(result_id, track_id)
    video_id        uuid NOT NULL,
    result_id       uuid NOT NULL,
    track_id        text NOT NULL,                             -- obj_001
    object_class    text NOT NULL,
    trajectory_data jsonb NOT NULL,
    start_frame     integer NOT NULL CHECK (start_frame >= 0),
    end_frame       integer NOT NULL,                          -- last observed frame + 1
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (result_id, id),
    UNIQUE (result_id, track_id),
    CHECK (start_frame < end_frame),
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE
);
CREATE INDEX idx_trajectories_track_id ON tracking_trajectories (video_id, track_id);

CREATE TABLE scene_analysis (
    id            uuid NOT NULL,                               -- UUIDv5(result_id, scene_number)
    video_id      uuid NOT NULL,
    result_id     uuid NOT NULL,
    scene_number  integer NOT NULL CHECK (scene_number >= 1),
    start_frame   integer NOT NULL CHECK (start_frame >= 0),
    end_frame     integer NOT NULL,                            -- half-open
    start_seconds double precision NOT NULL,
    end_seconds   double precision NOT NULL,
    describer     text NOT NULL,
    analysis_data jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (result_id, id),
    UNIQUE (result_id, scene_number),
    CHECK (start_frame < end_frame),
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE
);
CREATE INDEX idx_scenes_frame_range ON scene_analysis (video_id, start_frame, end_frame);

-- What readers use: only the published set, moved as a whole by one transaction.
CREATE VIEW current_results AS
    SELECT r.* FROM published p JOIN results r USING (video_id, stage, result_id);
CREATE VIEW current_detections AS
    SELECT d.* FROM published p JOIN detections d USING (video_id, result_id) WHERE p.stage = 'detections';
CREATE VIEW current_segmentation_masks AS
    SELECT m.* FROM published p JOIN segmentation_masks m USING (video_id, result_id) WHERE p.stage = 'masks';
CREATE VIEW current_tracking_trajectories AS
    SELECT t.* FROM published p JOIN tracking_trajectories t USING (video_id, result_id) WHERE p.stage = 'trajectories';
CREATE VIEW current_scene_analysis AS
    SELECT s.* FROM published p JOIN scene_analysis s USING (video_id, result_id) WHERE p.stage = 'scenes';
