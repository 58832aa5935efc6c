-- Deliverables: mattes and reframed videos that somebody asked for. One is made once for all who want the same, kept, and evicted like frames.

CREATE TABLE deliverables (
    id              uuid PRIMARY KEY,                          -- UUIDv5 of the key
    video_id        uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    result_id       uuid NOT NULL,                             -- the set that it is made from: its scenes result
    kind            text NOT NULL CHECK (kind IN ('matte', 'reframe')),
    key             text NOT NULL UNIQUE,                      -- digest of all that it follows from
    wish            jsonb NOT NULL,                            -- what somebody named, in their words
    ordered         jsonb NOT NULL,                            -- what that means: it is made from this alone
    filename        text NOT NULL,                             -- of the file, after the video's own name
    media_type      text NOT NULL,
    names_video     text,                                      -- what the video is called, if the file has that in it
    status          text NOT NULL DEFAULT 'wanted' CHECK (status IN ('wanted', 'making', 'made', 'failed', 'evicted')),
    asked_by        uuid REFERENCES users (id) ON DELETE SET NULL, -- who asked last; null: somebody at Dagster's UI
    api_key_id      uuid REFERENCES api_keys (id) ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    wanted_at       timestamptz NOT NULL DEFAULT now(),        -- each time names another run
    due_at          timestamptz NOT NULL DEFAULT now(),        -- before that, the sensor asks for no run
    attempts        integer NOT NULL DEFAULT 0,                -- runs that ended without it, since somebody asked
    token           uuid,                                      -- of whoever makes it, or made it last
    run_id          text,                                      -- Dagster's, likewise
    progress        double precision NOT NULL DEFAULT 0,       -- 0 to 1
    alive_at        timestamptz NOT NULL DEFAULT now(),        -- last sign of whoever makes it; once it is made, of whoever takes it
    made_at         timestamptz,
    seconds         double precision,                          -- that it took
    object_key      text,
    object_bytes    bigint,
    evicted_at      timestamptz,
    failure_code    text,
    failure_message text,
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE,
    CHECK ((status = 'made') = (object_key IS NOT NULL)),
    CHECK ((object_key IS NULL) = (object_bytes IS NULL)),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((status = 'evicted') = (evicted_at IS NOT NULL)),
    CHECK (status <> 'making' OR token IS NOT NULL)
);
CREATE INDEX idx_deliverables_video ON deliverables (video_id, created_at, id);
CREATE INDEX idx_deliverables_result ON deliverables (result_id);
CREATE INDEX idx_deliverables_open ON deliverables (due_at) WHERE status IN ('wanted', 'making');
CREATE INDEX idx_deliverables_made ON deliverables (alive_at) WHERE status = 'made';
CREATE INDEX idx_deliverables_api_key ON deliverables (api_key_id) WHERE status IN ('wanted', 'making');
CREATE INDEX idx_deliverables_object ON deliverables (object_key) WHERE object_key IS NOT NULL;
