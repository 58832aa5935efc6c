-- Workers: processes that compute runs handed to them by a broker, and which run each has taken.

CREATE TABLE workers (
    id           uuid PRIMARY KEY,                   -- of the process, as itself
    name         text NOT NULL,                      -- machine and process, for people
    queue        text NOT NULL,
    device       text NOT NULL,
    state        text NOT NULL CHECK (state IN ('starting', 'ready', 'busy', 'draining')),
    run_id       text,                               -- Dagster's, that it computes
    runs         integer NOT NULL DEFAULT 0,         -- that it has ended
    memory_bytes bigint NOT NULL DEFAULT 0,          -- resident
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'busy') <= (run_id IS NOT NULL))
);

-- A run is taken once: who finds it taken does not compute it.
CREATE TABLE worker_runs (
    run_id    text PRIMARY KEY,
    worker_id uuid,                                  -- null: nobody may take it any more
    taken_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_worker_runs_taken ON worker_runs (taken_at);

-- Who runs Dagster's daemon over these results: one at a time.
CREATE TABLE daemon_lease (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    token      uuid NOT NULL,                        -- of the deployment: the same for the same data folder of the same machine
    name       text NOT NULL,                        -- machine and folder, for people
    expires_at timestamptz NOT NULL
);
