-- Who may use the HTTP API. A secret is shown once and kept as a digest only; `prefix` finds its row.
-- One table for all that lets somebody in: keys of programs, sessions of browsers, and the one-time tokens that sessions are made of.

ALTER TABLE users ADD COLUMN disabled_at timestamptz;          -- since then none of their keys is good

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('key', 'session', 'login')),
    name         text NOT NULL,
    scopes       text[] NOT NULL CHECK (scopes <@ '{read,write,admin}' AND scopes <> '{}'),
    prefix       text NOT NULL,                                -- the first characters of the secret, for people and for the index
    hash         bytea NOT NULL CHECK (octet_length(hash) = 32),   -- SHA-256 of the secret
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,                                  -- null: never
    last_used_at timestamptz,                                  -- to the minute
    revoked_at   timestamptz,
    made_by      uuid REFERENCES api_keys (id) ON DELETE CASCADE   -- the key that began a session: it ends with the key
);
CREATE INDEX idx_api_keys_prefix ON api_keys (prefix);
CREATE INDEX idx_api_keys_user_id ON api_keys (user_id);
CREATE INDEX idx_api_keys_made_by ON api_keys (made_by);

-- What a key has used of its quotas. Bytes are counted apart from uploads, so that deleting an upload gives none back.
ALTER TABLE uploads ADD COLUMN api_key_id uuid REFERENCES api_keys (id) ON DELETE SET NULL;
CREATE INDEX idx_uploads_api_key_id ON uploads (api_key_id) WHERE api_key_id IS NOT NULL;

CREATE TABLE api_key_bytes (
    api_key_id uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    day        date NOT NULL,                                  -- UTC
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (api_key_id, day)
);

-- For the metrics, which look back an hour.
CREATE INDEX idx_jobs_failed_at ON processing_jobs (finished_at) WHERE status = 'failed';
CREATE INDEX idx_uploads_failed_at ON uploads (created_at) WHERE status = 'failed';
