"""A batch with bad files in it: each ends as it should, in one run of the pipeline, and the good ones complete."""

from __future__ import annotations

import pytest

from reframer_pipeline import failures
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.media.odd_files import ODD
from reframer_pipeline_tests.support import media_dir

# One of each kind: the whole folder goes through in benchmarks/media_survey.py
NAMES = (
    "annexb_truncated.mp4", "audio_only_aac.mp4", "encrypted_cenc.mp4", "fuzz_minimized_56b.mp4", "name with quote '.mov", "no_moov.mp4",
    "partial_claims_5544_frames.mp4", "rot90_3frames.mov", "rotation_int64_min_no_timescale.mp4", "text_not_video.mp4",
    "two_pixel_rgb_gbrp.mp4", "unordered_pts.mov", "weird name & streams=works.mp4", "zero_frames.ts",
)  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(shared: Storage) -> dict[str, VideoOutcome]:
    settings = shared.settings.model_copy(update={"vid_stride": 60})
    ended: dict[str, VideoOutcome] = {}
    videos: dict[str, str] = {}
    for name in NAMES:
        result = ingest_file(media_dir() / "odd" / name, shared.db, shared.store, settings)
        if result.failure is not None:
            ended[name] = VideoOutcome.failed(name, result.failure)
        else:
            videos[result.video_id or ""] = name
    for video_id, outcome in zip(videos, run_videos(settings, list(videos)), strict=True):
        ended[videos[video_id]] = outcome
    return ended


@pytest.mark.parametrize("name", NAMES)
def test_each_ends_as_it_should(name: str, outcomes: dict[str, VideoOutcome], shared: Storage) -> None:
    outcome = outcomes[name]
    assert (outcome.failure_code or outcome.status) == ODD[name]
    if outcome.status == "completed":
        assert outcome.frames > 0
    else:
        (cls,) = [cls for cls in failures.all_failures() if cls.code == outcome.failure_code]
        assert cls.default_remedy in (outcome.failure_message or "")
        row = shared.db.fetch_one(
            """SELECT u.failure_code AS upload, v.failure_code AS video
               FROM uploads u LEFT JOIN videos v ON v.id = u.video_id WHERE u.filename = %s""",
            (name,),
        )
        assert row is not None
        assert outcome.failure_code in (row["upload"], row["video"])
