-- A copy of a video that every browser can play: one at most, made when somebody first wants to look.
CREATE TABLE proxies (
    video_id        uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    token           uuid NOT NULL,                             -- of whoever makes it, or has made it
    code_version    integer NOT NULL,                          -- of what makes it; another one's copies are made anew
    state           text NOT NULL DEFAULT 'making' CHECK (state IN ('making', 'ready', 'failed')),
    progress        double precision NOT NULL DEFAULT 0,       -- 0 to 1
    object_key      text,
    object_bytes    bigint,
    failure_code    text,
    failure_message text,
    failure_remedy  text,
    alive_at        timestamptz NOT NULL DEFAULT now(),        -- last sign of whoever makes it; once it is ready, of whoever looks
    CHECK ((state = 'ready') = (object_key IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_code IS NOT NULL))
);
CREATE INDEX idx_proxies_alive_at ON proxies (alive_at);

-- A ticket opens films and pictures to a page on another host for an hour: its <img> and <video> can send no header.
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_kind_check,
    ADD CONSTRAINT api_keys_kind_check CHECK (kind IN ('key', 'session', 'login', 'ticket'));
