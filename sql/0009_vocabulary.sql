-- Results in one flat vocabulary: scenes, tracks, sightings, masks, elements. docs/vocabulary.md has every column with its unit.
-- Each view is there twice: `result_…` over all results, and under its plain name over the published ones. `result_id` is the scenes
-- result's in all of them: what a scenes result was made from belongs together, so this one id names a whole consistent set.
-- Facts that stand inside the stages' JSON are taken out here, once, by triggers: whoever inserts rows, searching finds them.

ALTER TABLE scene_analysis
    ADD COLUMN scene_type text GENERATED ALWAYS AS (analysis_data ->> 'scene_type') STORED,
    ADD COLUMN importance integer GENERATED ALWAYS AS ((analysis_data ->> 'importance')::integer) STORED,
    ADD COLUMN description text GENERATED ALWAYS AS (analysis_data ->> 'description') STORED;
CREATE INDEX idx_scenes_words ON scene_analysis USING gin (to_tsvector('english', coalesce(description, '')));

-- Results of trajectories version 2 and before do not say what a sighting stands for: there it is the time from the first to the last.
ALTER TABLE tracking_trajectories
    ADD COLUMN label text GENERATED ALWAYS AS (coalesce(trajectory_data ->> 'label', object_class)) STORED,
    ADD COLUMN confidence double precision GENERATED ALWAYS AS ((trajectory_data ->> 'avg_confidence')::double precision) STORED,
    ADD COLUMN sightings integer GENERATED ALWAYS AS (jsonb_array_length(trajectory_data -> 'frames')) STORED,
    ADD COLUMN start_seconds double precision GENERATED ALWAYS AS ((trajectory_data #>> '{frames,0,timestamp}')::double precision) STORED,
    ADD COLUMN end_seconds double precision GENERATED ALWAYS AS (
        (trajectory_data #>> '{frames,-1,timestamp}')::double precision
        + coalesce((trajectory_data #>> '{frames,-1,seconds}')::double precision, 0)) STORED,
    ADD COLUMN seconds double precision GENERATED ALWAYS AS (coalesce(
        (trajectory_data ->> 'seconds')::double precision,
        (trajectory_data #>> '{frames,-1,timestamp}')::double precision - (trajectory_data #>> '{frames,0,timestamp}')::double precision))
        STORED;

-- Which track a detection is in, in each trajectories result.
CREATE TABLE track_sightings (
    result_id    uuid NOT NULL,
    detection_id uuid NOT NULL,
    track_id     text NOT NULL,
    frame_number integer NOT NULL,
    seconds      double precision,                             -- what the sighting stands for; null in old results
    PRIMARY KEY (result_id, detection_id),
    FOREIGN KEY (result_id, track_id) REFERENCES tracking_trajectories (result_id, track_id) ON DELETE CASCADE
);
CREATE INDEX idx_sightings_track_id ON track_sightings (result_id, track_id, frame_number);

-- What was measured of a track within a scene.
CREATE TABLE scene_tracks (
    result_id      uuid NOT NULL,
    scene_number   integer NOT NULL,
    track_id       text NOT NULL,
    seconds        double precision,
    area_share     double precision,
    max_area_share double precision,
    occlusion      double precision,
    overlap        double precision,
    mask_stability double precision,
    shape_change   double precision,
    speed          double precision,
    border_share   double precision,
    PRIMARY KEY (result_id, track_id, scene_number),
    FOREIGN KEY (result_id, scene_number) REFERENCES scene_analysis (result_id, scene_number) ON DELETE CASCADE
);
CREATE INDEX idx_scene_tracks_scene_number ON scene_tracks (result_id, scene_number);

-- What could be replaced in a scene.
CREATE TABLE scene_elements (
    video_id            uuid NOT NULL,
    result_id           uuid NOT NULL,
    scene_number        integer NOT NULL,
    element_number      integer NOT NULL,                      -- place in the scene, from 1
    class               text NOT NULL,
    label               text NOT NULL,
    description         text NOT NULL,
    difficulty          text NOT NULL,
    difficulty_score    double precision,
    reasons             text[] NOT NULL,                       -- the strongest first
    measured_difficulty text,
    model_difficulty    text,
    model_reason        text,
    start_seconds       double precision NOT NULL,
    end_seconds         double precision NOT NULL,
    seconds             double precision,
    area_share          double precision,
    max_area_share      double precision,
    occlusion           double precision,
    overlap             double precision,
    mask_stability      double precision,
    shape_change        double precision,
    speed               double precision,
    border_share        double precision,
    track_ids           text[] NOT NULL,
    match_confidence    double precision,
    source              text,
    PRIMARY KEY (result_id, scene_number, element_number),
    FOREIGN KEY (result_id, scene_number) REFERENCES scene_analysis (result_id, scene_number) ON DELETE CASCADE
);
CREATE INDEX idx_elements_words ON scene_elements USING gin (to_tsvector('english', description));

CREATE FUNCTION sightings_of(track tracking_trajectories) RETURNS SETOF track_sightings LANGUAGE sql STABLE AS $$
    SELECT track.result_id, (sighting ->> 'detection_id')::uuid, track.track_id, (sighting ->> 'frame')::integer,
           (sighting ->> 'seconds')::double precision
    FROM jsonb_array_elements(track.trajectory_data -> 'frames') sighting
$$;

CREATE FUNCTION tracks_of(scene scene_analysis) RETURNS SETOF scene_tracks LANGUAGE sql STABLE AS $$
    SELECT scene.result_id, scene.scene_number, figures.track_id, figures.visible_seconds, figures.area_share, figures.max_area_share,
           figures.occlusion, figures.overlap, figures.mask_stability, figures.shape_change, figures.speed, figures.border_share
    FROM jsonb_to_recordset(coalesce(scene.analysis_data -> 'tracks', '[]')) AS figures(
        track_id text, visible_seconds double precision, area_share double precision, max_area_share double precision,
        occlusion double precision, overlap double precision, mask_stability double precision, shape_change double precision,
        speed double precision, border_share double precision)
$$;

-- An element is seen when the model says, else as long as its tracks are, else as long as the scene lasts.
CREATE FUNCTION elements_of(scene scene_analysis) RETURNS SETOF scene_elements LANGUAGE sql STABLE AS $$
    SELECT scene.video_id, scene.result_id, scene.scene_number, element_number::integer, element ->> 'type',
           coalesce(nullif(element ->> 'label', ''), element ->> 'type'), element ->> 'description', element ->> 'difficulty',
           (element ->> 'difficulty_score')::double precision,
           ARRAY(SELECT reason ->> 'why' FROM jsonb_array_elements(coalesce(element -> 'difficulty_reasons', '[]')) reason),
           element ->> 'measured_difficulty', element ->> 'model_difficulty', element ->> 'model_reason',
           coalesce((element ->> 'start_seconds')::double precision, seen.start_seconds, scene.start_seconds),
           coalesce((element ->> 'end_seconds')::double precision, seen.end_seconds, scene.end_seconds),
           figures.visible_seconds, figures.area_share, figures.max_area_share, figures.occlusion, figures.overlap,
           figures.mask_stability, figures.shape_change, figures.speed, figures.border_share,
           track_ids, (element ->> 'match_confidence')::double precision, element ->> 'source'
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

CREATE FUNCTION keep_sightings() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO track_sightings SELECT found.* FROM added JOIN tracking_trajectories track USING (result_id, id), sightings_of(track) found;
    RETURN NULL;
END $$;

CREATE FUNCTION keep_elements() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO scene_tracks SELECT found.* FROM added JOIN scene_analysis scene USING (result_id, id), tracks_of(scene) found;
    INSERT INTO scene_elements SELECT found.* FROM added JOIN scene_analysis scene USING (result_id, id), elements_of(scene) found;
    RETURN NULL;
END $$;

INSERT INTO track_sightings SELECT found.* FROM tracking_trajectories track, sightings_of(track) found;
INSERT INTO scene_tracks SELECT found.* FROM scene_analysis scene, tracks_of(scene) found;
INSERT INTO scene_elements SELECT found.* FROM scene_analysis scene, elements_of(scene) found;

CREATE TRIGGER keep_sightings AFTER INSERT ON tracking_trajectories REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sightings();
CREATE TRIGGER keep_elements AFTER INSERT ON scene_analysis REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_elements();

-- Masks are read in the order of frames, within a result.
DROP INDEX idx_masks_frame_number;
CREATE INDEX idx_masks_frame_number ON segmentation_masks (result_id, frame_number, detection_id);

-- What a scenes result was made from. Where a view joins through this, `source_id` is the result that its rows lie in: whoever reads page
-- by page names it too, for then Postgres follows an index from where the page before ended.
CREATE INDEX idx_results_made_from ON results (((components -> 'inputs' ->> 'trajectories')::uuid)) WHERE stage = 'scenes';
CREATE VIEW result_sets AS
    SELECT r.video_id, r.result_id, r.archived_at, (r.components -> 'inputs' ->> 'detections')::uuid AS detections_id,
           (r.components -> 'inputs' ->> 'masks')::uuid AS masks_id, (r.components -> 'inputs' ->> 'trajectories')::uuid AS trajectories_id
    FROM results r WHERE r.stage = 'scenes';

CREATE VIEW result_scenes AS
    SELECT s.video_id, s.result_id, s.scene_number, s.start_frame, s.end_frame, s.start_seconds, s.end_seconds,
           s.end_seconds - s.start_seconds AS seconds, s.scene_type, s.importance, s.description, s.describer
    FROM scene_analysis s;

CREATE VIEW result_tracks AS
    SELECT r.video_id, r.result_id, t.track_id, t.object_class AS class, t.label, t.start_frame, t.end_frame, t.start_seconds,
           t.end_seconds, t.seconds, t.sightings, t.confidence, measured.scene_number, measured.area_share, measured.max_area_share,
           measured.occlusion, measured.overlap, measured.mask_stability, measured.shape_change, measured.speed, measured.border_share,
           t.result_id AS source_id
    FROM result_sets r JOIN tracking_trajectories t ON t.result_id = r.trajectories_id
    LEFT JOIN LATERAL (                                        -- a track is in one scene; in results of 0.1.0 it may go on through cuts
        SELECT f.* FROM scene_tracks f WHERE f.result_id = r.result_id AND f.track_id = t.track_id
        ORDER BY f.seconds DESC NULLS LAST LIMIT 1
    ) measured ON true;

CREATE VIEW result_sightings AS
    SELECT r.video_id, r.result_id, d.frame_number, d."timestamp", d.ordinal, d.id AS detection_id, s.track_id,
           d.detection_data ->> 'class' AS class, d.detection_data ->> 'label' AS label,
           (d.detection_data ->> 'confidence')::double precision AS confidence,
           (d.detection_data #>> '{bbox,x}')::double precision AS x, (d.detection_data #>> '{bbox,y}')::double precision AS y,
           (d.detection_data #>> '{bbox,width}')::double precision AS width,
           (d.detection_data #>> '{bbox,height}')::double precision AS height,
           s.seconds, d.result_id AS source_id
    FROM result_sets r JOIN detections d ON d.result_id = r.detections_id
    LEFT JOIN track_sightings s ON s.result_id = r.trajectories_id AND s.detection_id = d.id
    WHERE s.track_id IS NOT NULL OR NOT d.detection_data ? 'candidate';

CREATE VIEW result_masks AS
    SELECT r.video_id, r.result_id, m.frame_number, m."timestamp", m.id AS mask_id, m.detection_id, m.height AS frame_height,
           m.width AS frame_width, m.mask_rle, m.mask_area_pixels, m.predicted_iou, m.stability,
           m.result_id AS source_id
    FROM result_sets r JOIN segmentation_masks m ON m.result_id = r.masks_id;

CREATE VIEW result_elements AS
    SELECT e.video_id, e.result_id, e.scene_number, e.element_number, e.class, e.label, e.description, e.difficulty, e.difficulty_score,
           e.reasons, e.measured_difficulty, e.model_difficulty, e.model_reason, e.start_seconds, e.end_seconds, e.seconds, e.area_share,
           e.max_area_share, e.occlusion, e.overlap, e.mask_stability, e.shape_change, e.speed, e.border_share, e.track_ids,
           e.match_confidence, e.source
    FROM scene_elements e;

CREATE VIEW scenes AS
    SELECT one.* FROM published p JOIN result_scenes one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE VIEW tracks AS
    SELECT one.* FROM published p JOIN result_tracks one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE VIEW sightings AS
    SELECT one.* FROM published p JOIN result_sightings one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE VIEW masks AS
    SELECT one.* FROM published p JOIN result_masks one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE VIEW elements AS
    SELECT one.* FROM published p JOIN result_elements one USING (video_id, result_id) WHERE p.stage = 'scenes';
