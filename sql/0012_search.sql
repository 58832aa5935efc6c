-- Which videos a person sees, and searching over all of them.

-- A person sees a video exactly if a completed upload of theirs points at it. It has the name that their latest one gave it.
CREATE INDEX idx_uploads_library ON uploads (user_id, created_at DESC, id DESC) WHERE status = 'completed';
CREATE INDEX idx_uploads_claims ON uploads (user_id, video_id, created_at DESC, id DESC) WHERE status = 'completed';
CREATE VIEW library AS
    SELECT u.user_id, u.video_id, u.id AS upload_id, u.filename, u.created_at AS uploaded_at
    FROM uploads u WHERE u.status = 'completed' AND NOT EXISTS (
        SELECT 1 FROM uploads later WHERE later.user_id = u.user_id AND later.video_id = u.video_id AND later.status = 'completed'
            AND (later.created_at, later.id) > (u.created_at, u.id));

-- What is searched comes in an order that goes on where a page ended. Each index has the whole order, or enough of it to leave few alike.
CREATE INDEX idx_trajectories_seconds ON tracking_trajectories (seconds DESC, confidence DESC);
CREATE INDEX idx_trajectories_class ON tracking_trajectories (object_class, seconds DESC, confidence DESC);
CREATE INDEX idx_trajectories_label ON tracking_trajectories (label, seconds DESC, confidence DESC);
CREATE INDEX idx_scenes_importance ON scene_analysis (importance DESC, result_id DESC, scene_number DESC);
CREATE INDEX idx_scenes_seconds ON scene_analysis ((end_seconds - start_seconds) DESC, result_id DESC, scene_number DESC);
CREATE INDEX idx_elements_seconds ON scene_elements ((coalesce(seconds, 0)) DESC, result_id DESC, scene_number DESC, element_number DESC);
CREATE INDEX idx_elements_score ON scene_elements ((coalesce(difficulty_score, 101)), result_id, scene_number, element_number);
CREATE INDEX idx_elements_difficulty ON scene_elements
    (difficulty, (coalesce(difficulty_score, 101)), result_id, scene_number, element_number);
CREATE INDEX idx_elements_label ON scene_elements (label, (coalesce(difficulty_score, 101)), result_id, scene_number, element_number);
