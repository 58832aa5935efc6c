-- What was asked of Gemini and what it answered: the same question is paid once, whoever asks, and survives every recomputation.

CREATE TABLE gemini_questions (
    digest            text PRIMARY KEY,                        -- over video, prompt version, model, schema and what is sent
    video_id          uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    model             text NOT NULL,                           -- as asked for
    prompt_version    integer NOT NULL,
    -- who is asking right now; others wait, and take over once the claim has run out
    claim_token       uuid,
    claimed_until     timestamptz,
    remote_file       text,                                    -- uploaded by a claimant and not deleted yet
    -- what all who asked used up, also in vain; the dollars by the prices that were set then
    requests          integer NOT NULL DEFAULT 0,              -- that the model was at work for, as far as is known
    input_tokens      bigint NOT NULL DEFAULT 0,
    output_tokens     bigint NOT NULL DEFAULT 0,
    cost_usd          numeric(16, 6) NOT NULL DEFAULT 0,
    counted_for       uuid,                                    -- the last claimant whose use is in these numbers
    -- how often it was asked in vain since the last answer
    failures          integer NOT NULL DEFAULT 0,
    failure_code      text,
    failure_message   text,
    failed_at         timestamptz,
    next_ask_at       timestamptz,                             -- not asked again by the backfill before
    -- the answer
    answer            jsonb,
    model_version     text,                                    -- as answered
    answered_at       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((answer IS NULL) = (answered_at IS NULL))
);
CREATE INDEX idx_gemini_questions_video_id ON gemini_questions (video_id);

-- Turns at a shared service, given out in order, a fixed time apart; nobody goes before `not_before`.
CREATE TABLE rate_limits (
    name       text PRIMARY KEY,                               -- service, model, and a few digits of the digest of the key
    next_turn  timestamptz NOT NULL,
    not_before timestamptz NOT NULL DEFAULT '-infinity'
);
