-- A job is an upload by somebody who asks for its video to be computed. What was deleted, and stays so. Whom to tell when a job has ended.

ALTER TABLE uploads
    ADD COLUMN requested boolean NOT NULL DEFAULT false,       -- a job; its id is the upload's
    ADD COLUMN idempotency_key text,                           -- as the sender repeats it
    ADD COLUMN request_digest text,                            -- of what was asked under that key
    DROP CONSTRAINT uploads_status_check,
    -- deleted: of the bucket, whose file may still lie there and must not be taken in again
    ADD CONSTRAINT uploads_status_check CHECK (status IN ('pending', 'completed', 'failed', 'deleted')),
    ADD CHECK ((idempotency_key IS NULL) = (request_digest IS NULL)),
    ADD CHECK (status <> 'deleted' OR video_id IS NULL);
CREATE UNIQUE INDEX idx_uploads_idempotency ON uploads (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX idx_uploads_jobs ON uploads (user_id, created_at DESC, id DESC) WHERE requested;
CREATE INDEX idx_videos_waiting ON videos (created_at, id) WHERE status = 'pending';

-- Uploads that come in several connections (tus). The bytes lie in the scratch folder of the machine that takes them: the offset is the
-- file's size. The id becomes the job's.
CREATE TABLE resumable_uploads (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    filename    text NOT NULL,
    size_bytes  bigint NOT NULL CHECK (size_bytes > 0),        -- as announced
    asked       jsonb NOT NULL,                                -- what else was said of the job
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_resumable_uploads_expires_at ON resumable_uploads (expires_at);

-- Who is told when a job has ended. A failed one may end anew: each new end is told once.
CREATE TABLE webhooks (
    upload_id   uuid PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE,
    url         text NOT NULL,
    secret      text NOT NULL,
    told        text CHECK (told IN ('completed', 'failed')),  -- the end that was told last
    attempts    integer NOT NULL DEFAULT 0,                    -- in vain, since then
    next_try_at timestamptz NOT NULL DEFAULT now(),            -- whoever tries moves it on, so that no other one does
    trouble     text,                                          -- of the last attempt
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_webhooks_next_try_at ON webhooks (next_try_at);

-- Videos that nobody claims any more. The rows went in the transaction that made this one; a rebuild leaves them out, unless they came anew.
CREATE TABLE deletions (
    video_id     uuid PRIMARY KEY,
    deleted_at   timestamptz NOT NULL,
    sha256       text,                                         -- until the upload's object is gone
    objects      text[] NOT NULL,                              -- of results, those that are not gone yet
    remote_files text[] NOT NULL,                              -- at Gemini, likewise
    in_dagster   boolean NOT NULL DEFAULT true                 -- whether its partition and runs may still be there
);
CREATE INDEX idx_deletions_unfinished ON deletions (deleted_at)
    WHERE sha256 IS NOT NULL OR objects <> '{}' OR remote_files <> '{}' OR in_dagster;
