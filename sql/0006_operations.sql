-- What planning and operations need to know of runs, and the settings that videos are computed with.

ALTER TABLE processing_jobs
    ADD COLUMN recipe text,                                    -- of the stage that the run is at
    ADD COLUMN failed_recipe text,                             -- the recipe that failed, if a stage did
    ADD COLUMN retryable boolean NOT NULL DEFAULT false;
CREATE INDEX idx_jobs_failed ON processing_jobs (video_id, created_at DESC) WHERE failed_recipe IS NOT NULL;
CREATE INDEX idx_videos_overrides ON videos (id) WHERE settings_overrides <> '{}';
CREATE INDEX idx_results_latest ON results (stage, created_at DESC);
