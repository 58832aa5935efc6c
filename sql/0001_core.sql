-- Who uploads, what was uploaded, and the videos that follow from it.
-- Nothing here is newer than PostgreSQL 15. Applied files are never edited: a change is a new file.

CREATE TABLE users (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email        text NOT NULL UNIQUE,
    api_key_hash text UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- One row by construction. Store and database carry the same id, so that a sweep never works on the wrong pair.
CREATE TABLE deployment (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id   uuid NOT NULL,
    settings   jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE videos (
    id                 uuid PRIMARY KEY,                       -- UUIDv5 of the file's SHA-256
    user_id            uuid NOT NULL REFERENCES users (id),    -- the first uploader
    sha256             text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    filename           text NOT NULL,
    size_bytes         bigint NOT NULL CHECK (size_bytes >= 0),
    -- filled by the metadata stage
    container          text,
    codec              text,
    width              integer CHECK (width > 0),              -- displayed, square pixels
    height             integer CHECK (height > 0),
    resolution         text,                                   -- 1080x1920
    rotation           integer,
    fps                double precision,
    fps_num            bigint,
    fps_den            bigint,
    duration           double precision,                       -- seconds
    frame_count        bigint,
    settings_overrides jsonb NOT NULL DEFAULT '{}',
    status             text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    failure_code       text,
    failure_message    text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL))
);
CREATE INDEX idx_videos_user_id ON videos (user_id);
CREATE INDEX idx_videos_status ON videos (status);
CREATE INDEX idx_videos_created_at ON videos (created_at DESC);

-- An upload is an event: the same bytes uploaded twice are two uploads of one video, a refused file is an upload of none.
CREATE TABLE uploads (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         uuid NOT NULL REFERENCES users (id),
    video_id        uuid REFERENCES videos (id),
    bucket_key      text,                                      -- null: not from the watched bucket
    etag            text,
    filename        text NOT NULL,
    size_bytes      bigint,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed')),
    failure_code    text,
    failure_message text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK (status <> 'completed' OR video_id IS NOT NULL)
);
CREATE INDEX idx_uploads_video_id ON uploads (video_id);
CREATE INDEX idx_uploads_user_id ON uploads (user_id);

CREATE TABLE processing_jobs (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id        uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    run_id          text NOT NULL,
    status          text NOT NULL DEFAULT 'processing' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    stage           text,
    done            bigint NOT NULL DEFAULT 0,
    total           bigint NOT NULL DEFAULT 0,                 -- 0: unknown
    progress        double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),   -- of the stage
    attempts        integer NOT NULL DEFAULT 1,
    failure_code    text,
    failure_message text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    UNIQUE (video_id, run_id),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL))
);
CREATE INDEX idx_jobs_status ON processing_jobs (status);

-- Who may commit results of a video right now.
CREATE TABLE leases (
    video_id     uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    token        uuid NOT NULL,
    owner        text NOT NULL,
    acquired_at  timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
