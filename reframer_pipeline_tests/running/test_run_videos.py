"""The whole chain through Dagster: a file becomes rows, once, and again only for a reason."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from reframer_pipeline.cli.show import show
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.orchestration.tags import PROCESS_VIDEO
from reframer_pipeline.reading import sheets
from reframer_pipeline.reading.videos import list_videos, show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.materialize import QUIET
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.computed import CLIP_SEED, add


def test_a_file_becomes_rows(shared: Storage, done: VideoOutcome) -> None:
    assert (done.frames, done.sampled_frames) == (50, 10)
    assert done.detections == done.masks > 10
    assert done.tracks > 1
    assert set(done.seconds) == set(NAMES)
    cuts = make_clip(CLIP_SEED, n_frames=50, shots=2).cuts
    scenes = shared.db.fetch(
        "SELECT start_frame, end_frame FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number", (done.video_id,)
    )
    assert [(row["start_frame"], row["end_frame"]) for row in scenes] == list(zip([0, *cuts], [*cuts, 50], strict=True))
    video = shared.db.fetch_one("SELECT frame_count, width, height FROM videos WHERE id = %s", (done.video_id,))
    assert video == {"frame_count": 50, "width": 640, "height": 360} and done.status == "completed"


def test_masks_and_detections_join_their_tracks(shared: Storage, done: VideoOutcome) -> None:
    joined = shared.db.fetch_one(
        """SELECT count(*) AS n, count(DISTINCT t.track_id) AS tracks
           FROM current_tracking_trajectories t, jsonb_array_elements(t.trajectory_data -> 'frames') f
           JOIN current_detections d ON d.id = (f ->> 'detection_id')::uuid
           JOIN current_segmentation_masks m ON m.detection_id = d.id
           WHERE t.video_id = %s AND d.frame_number = (f ->> 'frame')::int""",
        (done.video_id,),
    )
    assert joined is not None
    assert joined["tracks"] == done.tracks
    assert joined["n"] == done.detections


def test_each_materialization_reports_checks_and_shows_itself(shared: Storage, done: VideoOutcome) -> None:
    wanted = dg.AssetRecordsFilter(dg.AssetKey(NAMES[0]), asset_partitions=[done.video_id or ""])
    with dagster_home.open_instance(shared.settings) as instance:
        run_id = (
            instance.fetch_materializations(wanted, limit=1, ascending=True).records[0].run_id
        )  # others may have run stages of it since
        said = {
            kind: [
                record.event_log_entry.dagster_event  # type: ignore[union-attr]
                for record in instance.get_records_for_run(run_id, of_type=kind).records
            ]
            for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        }
    shown, checks = ([event.event_specific_data for event in events] for events in said.values())  # type: ignore[union-attr]
    metadata = {one.materialization.asset_key.path[-1]: one.materialization.metadata for one in shown}  # type: ignore[union-attr]
    assert set(metadata) == set(NAMES) and all({"rows", "seconds", "table"} <= set(one) for one in metadata.values())
    pictures = {stage: str(one["picture"].value) for stage, one in metadata.items() if "picture" in one}
    assert list(pictures) == ["scenes"]  # one a run, on its last stage
    assert "![contact sheet](data:image/jpeg;base64," in pictures["scenes"] and len(pictures["scenes"]) < 45_000  # 30 kB of JPEG in base64
    assert len(checks) > 20
    assert all(check.passed for check in checks)  # type: ignore[union-attr]


def test_a_run_of_some_stages_shows_what_is_known_of_its_video(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(sheets, "inline_sheet", lambda results: seen.append(set(results)) or "a picture")
    job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
    with dagster_home.open_instance(shared.settings) as instance:
        stages = [dg.AssetKey(stage) for stage in ("metadata", "frames")]
        ran = job.execute_in_process(QUIET, instance, partition_key=done.video_id, asset_selection=stages)
    pictured = [event.step_key for event in ran.get_asset_materialization_events() if "picture" in event.materialization.metadata]
    assert pictured == ["frames"] and seen == [set(NAMES)]


def test_several_videos_share_one_opening_of_dagsters_instance(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    get = dg.DagsterInstance.get
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: opened.append(1) or get())
    monkeypatch.setenv("DAGSTER_HOME", "/the/caller's/own")
    loose = shared.settings.model_copy(update={"min_sightings": 3})
    for _ in run_videos(loose, [done.video_id or ""] * 2, force=True):
        assert os.environ["DAGSTER_HOME"] == "/the/caller's/own"
    assert len(opened) == 1
    (back,) = run_videos(shared.settings, [done.video_id or ""])
    assert back.seconds == {}


def test_fewer_masks_leave_the_rest_as_it_is(shared: Storage, done: VideoOutcome) -> None:
    """Of every third frame with detections. Nothing before the masks is computed again, and scenes have the same elements."""
    assert done.video_id is not None
    before = sheets.published(shared, done.video_id)
    elements = shared.db.fetch("SELECT count(*) AS n FROM elements WHERE video_id = %s", (done.video_id,))
    (fewer,) = run_videos(shared.settings.model_copy(update={"mask_stride": 3}), [done.video_id])
    after = sheets.published(shared, done.video_id)
    assert fewer.status == "completed", fewer.failure_message
    assert set(fewer.seconds) == {"masks", "scenes"}
    frames = [
        sorted({number for batch in result["masks"].batches(["frame_number"]) for number in batch.column(0).to_pylist()})
        for result in (before, after)
    ]
    assert frames[1] == frames[0][::3]
    assert 0 < after["masks"].row_count < before["masks"].row_count / 2
    assert shared.db.fetch("SELECT count(*) AS n FROM elements WHERE video_id = %s", (done.video_id,)) == elements
    (back,) = run_videos(shared.settings, [done.video_id])
    assert back.seconds == {}  # what was exact is found again


def test_running_again_computes_nothing(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    with dagster_home.open_instance(shared.settings) as instance:
        before = instance.get_runs_count()
        (again,) = run_videos(shared.settings, [done.video_id])
        assert instance.get_runs_count() == before
    assert again.status == "completed"
    assert again.seconds == {}
    assert again.detections == done.detections


def test_another_conf_recomputes_what_follows_and_readers_see_old_or_new(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    other = shared.settings.model_copy(update={"conf": 0.79})  # that no other test computes
    with _looping_reader(shared, done.video_id) as seen:
        (changed,) = run_videos(other, [done.video_id])
    assert changed.status == "completed", changed.failure_message
    assert set(changed.seconds) == {"detections", "masks", "trajectories", "scenes"}
    assert changed.detections < done.detections
    # detections, masks and tracks of one read always belong together: the old whole, then the new whole
    assert set(seen) == {(done.detections, done.masks, done.tracks), (changed.detections, changed.masks, changed.tracks)}
    (back,) = run_videos(shared.settings, [done.video_id])
    assert back.seconds == {}
    assert _counts(shared, done.video_id) == (done.detections, done.masks, done.tracks)


def test_force_computes_all_and_keeps_the_result(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    ids = "SELECT stage, result_id, content_digest FROM current_results WHERE video_id = %s ORDER BY stage"
    before = shared.db.fetch(ids, (done.video_id,))
    (forced,) = run_videos(shared.settings, [done.video_id], force=True)
    assert forced.status == "completed", forced.failure_message
    assert shared.db.fetch(ids, (done.video_id,)) == before
    remade = shared.db.fetch_one("SELECT count(recomputed_at) AS n FROM current_results WHERE video_id = %s", (done.video_id,))
    assert remade == {"n": 6}


def test_one_bad_video_stops_no_other(shared: Storage, done: VideoOutcome, clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    bad = add(shared, cut)
    first, second = run_videos(shared.settings, [bad, done.video_id or ""])
    assert (first.status, second.status) == ("failed", "completed")
    assert first.failure_code in {"truncated", "damaged", "no_decodable_frames"}
    row = shared.db.fetch_one("SELECT status, failure_code FROM videos WHERE id = %s", (bad,))
    assert row == {"status": "failed", "failure_code": first.failure_code}


def test_every_video_is_a_partition_also_where_nothing_is_missing(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    with dagster_home.open_instance(shared.settings) as instance:
        instance.delete_dynamic_partition("videos", done.video_id)
        (again,) = run_videos(shared.settings, [done.video_id])
        assert again.seconds == {}
        assert instance.has_dynamic_partition("videos", done.video_id)


def test_candidates_are_counted_nowhere(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    loose = shared.settings.model_copy(update={"conf": 0.8, "track_thresh": 0.8, "track_low_conf": 0.1})
    (outcome,) = run_videos(loose, [done.video_id])
    rows = shared.db.fetch("SELECT * FROM current_results WHERE video_id = %s", (done.video_id,))
    (row,) = [row for row in rows if row["stage"] == "detections"]
    assert row["stats"]["candidates"] > 0
    (listed,) = [one for one in list_videos(shared.db) if one["video_id"] == done.video_id]
    shown = show_video(shared.db, done.video_id)
    assert outcome.detections == outcome.masks == row["row_count"] - row["stats"]["candidates"]
    assert outcome.detections == listed["counts"]["detections"] == shown["counts"]["detections"] == sum(shown["classes"].values())
    printed = CliRunner().invoke(show, [done.video_id], env={"REFRAMER_HOME": str(shared.settings.home_dir)})
    (line,) = [line for line in printed.output.splitlines() if line.split()[:1] == ["detections"]]
    assert line.split()[1:3] == [str(outcome.detections), "rows"]
    (back,) = run_videos(shared.settings, [done.video_id])
    assert back.seconds == {}


def _counts(shared: Storage, video_id: str) -> tuple[int, int, int]:
    row = shared.db.fetch_one(
        """SELECT (SELECT count(*) FROM current_detections WHERE video_id = %(v)s) AS d,
                  (SELECT count(*) FROM current_segmentation_masks WHERE video_id = %(v)s) AS m,
                  (SELECT count(*) FROM current_tracking_trajectories WHERE video_id = %(v)s) AS t""",
        {"v": video_id},
    )
    assert row is not None
    return row["d"], row["m"], row["t"]


@contextmanager
def _looping_reader(shared: Storage, video_id: str) -> Iterator[list[tuple[int, int, int]]]:
    """Reads the current views all the time; what it saw is complete when the block ends."""
    seen: list[tuple[int, int, int]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(_counts(shared, video_id))
            time.sleep(0.005)
        seen.append(_counts(shared, video_id))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
