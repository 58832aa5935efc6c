-- What was taken away to save space. Both count as fresh: the manifest row stays, and says when it happened.

ALTER TABLE results
    ADD COLUMN archived_at timestamptz,                        -- its rows left Postgres; the Parquet object has them
    ADD COLUMN evicted_at timestamptz,                         -- its attached object was deleted
    ADD CHECK (evicted_at IS NULL OR attachment_key IS NOT NULL);

CREATE OR REPLACE VIEW current_results AS
    SELECT r.* FROM published p JOIN results r USING (video_id, stage, result_id);
