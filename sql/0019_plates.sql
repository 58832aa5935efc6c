-- What is seen behind an element: figures of tracks in their scene, and the frames that show most of it. Results of earlier code have none.

ALTER TABLE scene_tracks
    ADD COLUMN plate_never_seen double precision,              -- share of its area that no sampled frame shows free
    ADD COLUMN plate_missing    double precision;              -- that part of it, as a share of the picture
ALTER TABLE scene_elements
    ADD COLUMN plate_never_seen double precision,
    ADD COLUMN plate_missing    double precision,
    ADD COLUMN plate_frames     integer[] NOT NULL DEFAULT '{}';

CREATE OR REPLACE FUNCTION tracks_of(scene scene_analysis) RETURNS SETOF scene_tracks LANGUAGE sql STABLE AS $$
    SELECT scene.result_id, scene.scene_number, figures.track_id, figures.visible_seconds, figures.area_share, figures.max_area_share,
           figures.occlusion, figures.overlap, figures.mask_stability, figures.shape_change, figures.speed, figures.border_share,
           figures.plate_never_seen, figures.plate_missing
    FROM jsonb_to_recordset(coalesce(scene.analysis_data -> 'tracks', '[]')) AS figures(
        track_id text, visible_seconds double precision, area_share double precision, max_area_share double precision,
        occlusion double precision, overlap double precision, mask_stability double precision, shape_change double precision,
        speed double precision, border_share double precision, plate_never_seen double precision, plate_missing double precision)
$$;

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
           ARRAY(SELECT jsonb_array_elements_text(coalesce(element -> 'by_hand', '[]'))),
           figures.plate_never_seen, figures.plate_missing,
           ARRAY(SELECT (shown ->> 'frame')::integer
                 FROM jsonb_array_elements(coalesce(element -> 'plate_frames', '[]')) WITH ORDINALITY AS plate(shown, place) ORDER BY place)
    FROM jsonb_array_elements(coalesce(scene.analysis_data -> 'replaceable_elements', '[]')) WITH ORDINALITY AS one(element, element_number)
    CROSS JOIN LATERAL jsonb_to_record(coalesce(element -> 'figures', '{}')) AS figures(
        visible_seconds double precision, area_share double precision, max_area_share double precision, occlusion double precision,
        overlap double precision, mask_stability double precision, shape_change double precision, speed double precision,
        border_share double precision, plate_never_seen double precision, plate_missing double precision)
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT jsonb_array_elements_text(coalesce(element -> 'tracks', '[]'))) AS track_ids) named
    CROSS JOIN LATERAL (
        SELECT min(track.first_seconds) AS start_seconds, max(track.end_seconds) AS end_seconds
        FROM jsonb_to_recordset(coalesce(scene.analysis_data -> 'tracks', '[]')) AS track(
            track_id text, first_seconds double precision, end_seconds double precision)
        WHERE track.track_id = ANY(track_ids)) seen
$$;

CREATE OR REPLACE VIEW result_tracks AS
    SELECT r.video_id, r.result_id, t.track_id, t.object_class AS class, t.label, t.start_frame, t.end_frame, t.start_seconds,
           t.end_seconds, t.seconds, t.sightings, t.confidence, measured.scene_number, measured.area_share, measured.max_area_share,
           measured.occlusion, measured.overlap, measured.mask_stability, measured.shape_change, measured.speed, measured.border_share,
           t.result_id AS source_id,
           ARRAY(SELECT jsonb_object_keys(r.by_hand -> t.track_id)) AS by_hand,
           measured.plate_never_seen, measured.plate_missing
    FROM result_sets r JOIN tracking_trajectories t ON t.result_id = r.trajectories_id
    LEFT JOIN LATERAL (                                        -- a track is in one scene; in results of 0.1.0 and by hand it may go on
        SELECT f.* FROM scene_tracks f WHERE f.result_id = r.result_id AND f.track_id = t.track_id
        ORDER BY f.seconds DESC NULLS LAST LIMIT 1
    ) measured ON true;

CREATE OR REPLACE VIEW result_elements AS
    SELECT e.video_id, e.result_id, e.scene_number, e.element_number, e.class, e.label, e.description, e.difficulty, e.difficulty_score,
           e.reasons, e.measured_difficulty, e.model_difficulty, e.model_reason, e.start_seconds, e.end_seconds, e.seconds, e.area_share,
           e.max_area_share, e.occlusion, e.overlap, e.mask_stability, e.shape_change, e.speed, e.border_share, e.track_ids,
           e.match_confidence, e.source, e.by_hand, e.plate_never_seen, e.plate_missing, e.plate_frames
    FROM scene_elements e;

CREATE OR REPLACE VIEW tracks AS
    SELECT one.* FROM published p JOIN result_tracks one USING (video_id, result_id) WHERE p.stage = 'scenes';
CREATE OR REPLACE VIEW elements AS
    SELECT one.* FROM published p JOIN result_elements one USING (video_id, result_id) WHERE p.stage = 'scenes';
