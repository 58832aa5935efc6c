-- Lists of videos in the order of their names and lengths: a page goes on along an index, however many there are.
CREATE INDEX idx_uploads_names ON uploads (user_id, (left(lower(filename), 100)), id) WHERE status = 'completed';
CREATE INDEX idx_videos_duration ON videos ((coalesce(duration, -1)));
