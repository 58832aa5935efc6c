-- Who is just asking for a new video's run: the API or the upload sensor, never both. A claim runs out if nothing came of it.
CREATE TABLE run_claims (
    video_id    uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    claimed_by  text NOT NULL,
    expires_at  timestamptz NOT NULL
);

-- Of an upload that is whole: what its bytes are is found out once.
ALTER TABLE resumable_uploads ADD COLUMN sha256 text;
CREATE INDEX idx_resumable_uploads_key ON resumable_uploads ((asked ->> 'api_key_id'));
