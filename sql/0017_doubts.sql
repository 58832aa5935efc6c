-- Doubts: what of a set of results a person should look at first. They follow from the set alone, and can be found again at any time.

CREATE TABLE doubted_sets (                                    -- the sets that were looked through, also those without a doubt
    result_id    uuid PRIMARY KEY,                             -- the scenes result's
    video_id     uuid NOT NULL,
    code_version integer NOT NULL,                             -- of the rules
    made_at      timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (video_id, result_id) REFERENCES results (video_id, result_id) ON DELETE CASCADE
);
CREATE TABLE found_doubts (
    video_id       uuid NOT NULL,
    result_id      uuid NOT NULL REFERENCES doubted_sets (result_id) ON DELETE CASCADE,
    number         integer NOT NULL,                           -- from 1, in the order in which to look
    kind           text NOT NULL CHECK (kind IN ('id_switch', 'over_cut', 'mask_outside', 'disagreement', 'one_sighting')),
    says           text NOT NULL,
    track_id       text,
    other_id       text,                                       -- the other track of an id switch
    frame_number   integer,                                    -- to look at
    scene_number   integer,                                    -- of the element
    element_number integer,
    PRIMARY KEY (result_id, number)
);

CREATE VIEW result_doubts AS SELECT d.* FROM found_doubts d;
CREATE VIEW doubts AS
    SELECT one.* FROM published p JOIN result_doubts one USING (video_id, result_id) WHERE p.stage = 'scenes';
