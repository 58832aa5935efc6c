-- Corrections by hand: a log of what people say is otherwise than it was computed, and the sets of results that follow from it.
-- A corrected set is two results like any others, trajectories and scenes, made from computed ones and published in their place. Rows of
-- computed results are never changed. docs/corrections.md says how corrections outlive recomputing.

CREATE TABLE corrections (
    id              uuid PRIMARY KEY,
    video_id        uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    number          integer NOT NULL CHECK (number >= 1),      -- place in the log of the video; never given twice
    user_id         uuid NOT NULL REFERENCES users (id),       -- who said so
    kind            text NOT NULL CHECK (kind IN ('rename', 'class', 'delete', 'merge', 'split', 'difficulty')),
    body            jsonb NOT NULL,                            -- the change, by the ids that were seen then
    evidence        jsonb NOT NULL,                            -- what these looked like
    source          text NOT NULL CHECK (source IN ('hand', 'cvat')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    undone_at       timestamptz,                               -- since then it does not count
    undone_by       uuid REFERENCES users (id),
    trouble         text,                                      -- why it could not be applied to what is published now; null: it is applied
    idempotency_key text,
    UNIQUE (video_id, number),
    CHECK ((undone_at IS NULL) = (undone_by IS NULL))
);
CREATE UNIQUE INDEX idx_corrections_repeated ON corrections (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The computed result that a corrected one stands in place of. It stays as long as this one does.
ALTER TABLE results ADD COLUMN corrects uuid REFERENCES results (result_id) ON DELETE CASCADE;
CREATE INDEX idx_results_corrects ON results (corrects) WHERE corrects IS NOT NULL;
-- What a result is made from, as columns: views that read it out of `components` would unpack all of that for every row they join.
ALTER TABLE results
    ADD COLUMN detections_id uuid GENERATED ALWAYS AS ((components -> 'inputs' ->> 'detections')::uuid) STORED,
    ADD COLUMN masks_id uuid GENERATED ALWAYS AS ((components -> 'inputs' ->> 'masks')::uuid) STORED,
    ADD COLUMN trajectories_id uuid GENERATED ALWAYS AS ((components -> 'inputs' ->> 'trajectories')::uuid) STORED;
CREATE OR REPLACE VIEW current_results AS
    SELECT r.* FROM published p JOIN results r USING (video_id, stage, result_id);

-- Of a corrected set: the computed tracks, and what of which track was corrected (`by_hand`: track to what to value).
CREATE OR REPLACE VIEW result_sets AS
    SELECT r.video_id, r.result_id, r.archived_at, r.detections_id, r.masks_id, r.trajectories_id, made.computed_id, made.by_hand
    FROM results r LEFT JOIN LATERAL (                         -- OFFSET 0: `stats` are unpacked once for a set, and not for each row
        SELECT m.corrects AS computed_id, m.stats -> 'by_hand' AS by_hand FROM results m
        WHERE m.result_id = r.trajectories_id AND m.corrects IS NOT NULL AND r.corrects IS NOT NULL OFFSET 0
    ) made ON true
    WHERE r.stage = 'scenes';

CREATE OR REPLACE VIEW result_tracks AS
    SELECT r.video_id, r.result_id, t.track_id, t.object_class AS class, t.label, t.start_frame, t.end_frame, t.start_seconds,
           t.end_seconds, t.seconds, t.sightings, t.confidence, measured.scene_number, measured.area_share, measured.max_area_share,
           measured.occlusion, measured.overlap, measured.mask_stability, measured.shape_change, measured.speed, measured.border_share,
           t.result_id AS source_id,
           ARRAY(SELECT jsonb_object_keys(r.by_hand -> t.track_id)) AS by_hand
    FROM result_sets r JOIN tracking_trajectories t ON t.result_id = r.trajectories_id
    LEFT JOIN LATERAL (                                        -- a track is in one scene; in results of 0.1.0 and by hand it may go on
        SELECT f.* FROM scene_tracks f WHERE f.result_id = r.result_id AND f.track_id = t.track_id
        ORDER BY f.seconds DESC NULLS LAST LIMIT 1
    ) measured ON true;

-- A sighting that a computed track has and no corrected one was deleted by hand, and so was its mask.
CREATE OR REPLACE VIEW result_sightings AS
    SELECT r.video_id, r.result_id, d.frame_number, d."timestamp", d.ordinal, d.id AS detection_id, s.track_id,
           coalesce(r.by_hand -> s.track_id ->> 'class', d.detection_data ->> 'class') AS class,
           coalesce(r.by_hand -> s.track_id ->> 'label', d.detection_data ->> 'label') AS label,
           (d.detection_data ->> 'confidence')::double precision AS confidence,
           (d.detection_data #>> '{bbox,x}')::double precision AS x, (d.detection_data #>> '{bbox,y}')::double precision AS y,
           (d.detection_data #>> '{bbox,width}')::double precision AS width,
           (d.detection_data #>> '{bbox,height}')::double precision AS height,
           s.seconds, d.result_id AS source_id
    FROM result_sets r JOIN detections d ON d.result_id = r.detections_id
    LEFT JOIN track_sightings s ON s.result_id = r.trajectories_id AND s.detection_id = d.id
    WHERE s.track_id IS NOT NULL
        OR NOT d.detection_data ? 'candidate' AND (r.computed_id IS NULL OR NOT EXISTS (
            SELECT 1 FROM track_sightings was WHERE was.result_id = r.computed_id AND was.detection_id = d.id));

CREATE OR REPLACE VIEW result_masks AS
    SELECT r.video_id, r.result_id, m.frame_number, m."timestamp", m.id AS mask_id, m.detection_id, m.height AS frame_height,
           m.width AS frame_width, m.mask_rle, m.mask_area_pixels, m.predicted_iou, m.stability,
           m.result_id AS source_id
    FROM result_sets r JOIN segmentation_masks m ON m.result_id = r.masks_id
    WHERE r.computed_id IS NULL
        OR EXISTS (SELECT 1 FROM track_sightings s WHERE s.result_id = r.trajectories_id AND s.detection_id = m.detection_id)
        OR NOT EXISTS (SELECT 1 FROM track_sightings was WHERE was.result_id = r.computed_id AND was.detection_id = m.detection_id);

ALTER TABLE scene_elements ADD COLUMN by_hand text[] NOT NULL DEFAULT '{}';
CREATE OR REPLACE FUNCTION elements_of(scene scene_analysis) RETURNS SETOF scene_elements LANGUAGE sql STABLE AS $$
    SELECT scene.video_id, scene.result_id, scene.scene_number, element_number::integer, element ->> 'type',
           coalesce(nullif(element ->> 'label', ''), element ->> 'type'), element ->> 'description', element ->> 'difficulty',
           (element ->> 'difficulty_score')::double precision,
           ARRAY(SELECT reason ->> 'why' FROM jsonb_array_elements(coalesce(element -> 'difficulty_reasons', '[]')) reason),
           element ->> 'measured_difficulty', element ->> 'model_difficulty', element ->> 'model_reason',
           coalesce((element ->> 'start_seconds')::double precision, seen.start_seconds, scene.start_seconds),
           coalesce((element ->> 'end_seconds')::double precision, seen.end_seconds, scene.end_seconds),
           figures.visible_seconds, figures.area_share, figures.max_area_share, figures.occlusion, figures.overlap,
           figures.mask_stability, figures.shape_change, figures.speed, figures.border_share,
           track_ids, (element ->> 'match_confidence')::double precision, element ->> 'source',
           ARRAY(SELECT jsonb_array_elements_text(coalesce(element -> 'by_hand', '[]')))
    FROM jsonb_array_elements(coalesce(scene.analysis_data -> 'replaceable_elements', '[]')) WITH ORDINALITY AS one(element, element_number)
    CROSS JOIN LATERAL jsonb_to_record(coalesce(element -> 'figures', '{}')) AS figures(
        visible_seconds double precision, area_share double precision, max_area_share double precision, occlusion double precision,
        overlap double precision, mask_stability double precision, shape_change double precision, speed double precision,
        border_share double precision)
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT jsonb_array_elements_text(coalesce(element -> 'tracks', '[]'))) AS track_ids) named
    CROSS JOIN LATERAL (
        SELECT min(track.first_seconds) AS start_seconds, max(track.end_seconds) AS end_seconds
        FROM jsonb_to_recordset(coalesce(scene.analysis_data -> 'tracks', '[]')) AS track(
            track_id text, first_seconds double precision, end_seconds double precision)
        WHERE track.track_id = ANY(track_ids)) seen
$$;

CREATE OR REPLACE VIEW result_elements AS
    SELECT e.video_id, e.result_id, e.scene_number, e.element_number, e.class, e.label, e.description, e.difficulty, e.difficulty_score,
           e.reasons, e.measured_difficulty, e.model_difficulty, e.model_reason, e.start_seconds, e.end_seconds, e.seconds, e.area_share,
           e.max_area_share, e.occlusion, e.overlap, e.mask_stability, e.shape_change, e.speed, e.border_share, e.track_ids,
           e.match_confidence, e.source, e.by_hand
    FROM scene_elements e;

CREATE OR REPLACE VIEW tracks AS
    SELECT one.* FROM published p JOIN result_tracks one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE OR REPLACE VIEW elements AS
    SELECT one.* FROM published p JOIN result_elements one USING (video_id, result_id) WHERE p.stage = 'scenes';
