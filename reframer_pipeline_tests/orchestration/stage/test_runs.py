"""What a process keeps of a run: one lease that all its processes share, and one order that all its stages follow."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from dagster._core.storage.dagster_run import DagsterRun

from reframer_pipeline.failures import StoreUnavailable, VideoBusy, WeightsMissing
from reframer_pipeline.orchestration.stage.runs import expecting, for_children, give_back, run_of, token_of
from reframer_pipeline.orchestration.tags import LEASE_TAG
from reframer_pipeline.planning import orders
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import archive
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.vision import weights
from reframer_pipeline.work import lease, status

STAGE = """
import sys
from dagster._core.storage.dagster_run import DagsterRun
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.orchestration.stage.runs import run_of
from reframer_pipeline.settings import Settings
run = DagsterRun("process_video", run_id=sys.argv[2], tags={sys.argv[3]: sys.argv[4]} if sys.argv[3:] else {})
this = run_of(run, storage_of(Settings()), sys.argv[1])
this.start("metadata", 1)
print(this.token, this.order.settings.conf, this.order.key("scenes").result_id)
"""


def stage(shared: Storage, video_id: str, run_id: str, *tags: str, **more: str) -> list[str]:
    """A stage in a process of its own; returns its lease token, the confidence it follows, and the scenes it works for."""
    environment = {**os.environ, "REFRAMER_HOME": str(shared.settings.home_dir), **more}
    command = [sys.executable, "-c", STAGE, video_id, run_id, *tags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=lease.TTL_S - 5)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def run(shared: Storage, done: VideoOutcome) -> Iterator[DagsterRun]:
    """A run of the clip that nothing is known of yet; nothing is left of it."""
    made = DagsterRun("process_video")
    yield made
    give_back(made.run_id)
    shared.db.execute("DELETE FROM processing_jobs WHERE run_id = %s", (made.run_id,))
    status.settle(shared.db, done.video_id or "")


def test_stages_with_processes_of_their_own_share_one_lease(shared: Storage, done: VideoOutcome, run: DagsterRun) -> None:
    db, video_id = shared.db, done.video_id or ""
    first, *_ = stage(shared, video_id, run.run_id)
    assert lease.held_by(db, video_id, first)  # between two stages, too
    other = run_of(DagsterRun("process_video"), shared, video_id)
    with pytest.raises(VideoBusy):
        other.take_lease(patience_s=0)
    give_back(other.run.run_id)
    second = run_of(run, shared, video_id).take_lease()  # masks and trajectories at a time
    assert stage(shared, video_id, run.run_id)[0] == second == first
    give_back(run.run_id)
    assert not lease.held_by(db, video_id, first)


def test_a_run_follows_what_it_was_asked_for_at_its_start(shared: Storage, done: VideoOutcome, run: DagsterRun) -> None:
    """Also when the deployment gets other settings while it goes on, and in the processes of its later stages."""
    db, video_id = shared.db, done.video_id or ""
    this = run_of(run, shared, video_id)
    this.start("metadata", 1)
    asked = this.order.settings.conf
    db.execute("UPDATE videos SET settings_overrides = settings_overrides || %s WHERE id = %s", ('{"conf": 0.77}', video_id))
    try:
        assert orders.resolve(db, shared.settings, video_id).settings.conf == 0.77
        _, conf, scenes = stage(shared, video_id, run.run_id)
        assert (float(conf), scenes) == (asked, this.order.key("scenes").result_id)
    finally:
        db.execute("UPDATE videos SET settings_overrides = settings_overrides - 'conf' WHERE id = %s", (video_id,))


def test_the_lease_of_the_caller_is_kept_though_it_ran_out_if_nobody_took_it(shared: Storage, done: VideoOutcome) -> None:
    db, video_id = shared.db, done.video_id or ""
    token = lease.acquire(db, video_id, "a command whose database was away", ttl_s=0)
    run = DagsterRun("process_video", tags={LEASE_TAG: token})
    assert run_of(run, shared, video_id).take_lease(patience_s=0) == token
    assert lease.held_by(db, video_id, token)
    give_back(run.run_id)
    lease.release(db, video_id, token)


def test_the_processes_of_a_run_follow_what_its_caller_resolved(shared: Storage, done: VideoOutcome, run: DagsterRun) -> None:
    """Also where the deployment's settings change between the caller's look and the first stage's."""
    db, video_id = shared.db, done.video_id or ""
    order = orders.resolve(db, shared.settings, video_id).with_settings(conf=0.66)
    with lease.hold(db, video_id, "caller") as token:
        _, conf, scenes = stage(shared, video_id, run.run_id, LEASE_TAG, token, **for_children(token, order))
    assert (float(conf), scenes) == (0.66, order.key("scenes").result_id)


def test_a_run_that_is_tried_again_restores_what_it_could_not_restore(
    shared: Storage, done: VideoOutcome, run: DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, video_id, away = shared.db, done.video_id or "", [True]
    query = "SELECT count(*) AS n FROM segmentation_masks JOIN results USING (result_id) WHERE results.video_id = %s"
    before = db.fetch_one(query, (video_id,))
    with lease.hold(db, video_id, "archive") as token:
        archive.archive(db, shared.store, video_id, token)
    assert db.fetch_one(query, (video_id,)) == {"n": 0} != before
    open_object = shared.store.open_object

    def away_once(key: str) -> object:
        if away:
            away.clear()
            raise StoreUnavailable("away")
        return open_object(key)

    monkeypatch.setattr(shared.store, "open_object", away_once)
    this = run_of(run, shared, video_id)
    with pytest.raises(StoreUnavailable):
        this.start("scenes", 1)
    this.start("scenes", 2)
    assert db.fetch_one(query, (video_id,)) == before


def test_missing_weights_are_written_down_and_looked_for_again(
    shared: Storage, done: VideoOutcome, run: DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, video_id = shared.db, done.video_id or ""

    def missing(*_: object) -> dict[str, str]:
        raise WeightsMissing("Not there.")

    with monkeypatch.context() as without:
        without.setattr(weights, "digests", missing)
        this = run_of(run, shared, video_id)
        this.start("frames", 1)  # which needs none
        with pytest.raises(WeightsMissing):
            this.start("detections", 1)
        job = db.fetch_one("SELECT stage, recipe, status FROM processing_jobs WHERE run_id = %s", (run.run_id,))
        assert job == {"stage": "detections", "recipe": None, "status": "processing"}  # what failed is not the stage before
    this.start("detections", 2)
    job = db.fetch_one("SELECT recipe FROM processing_jobs WHERE run_id = %s", (run.run_id,))
    assert job == {"recipe": this.order.key("detections").recipe.digest}


def test_nothing_is_kept_of_a_run_whose_caller_is_through_with_it(shared: Storage, done: VideoOutcome) -> None:
    """Also if the caller's lease was lost, and the run has taken one of its own."""
    db, video_id = shared.db, done.video_id or ""
    run = DagsterRun("process_video", tags={LEASE_TAG: str(uuid.uuid4())})
    with expecting(run.tags[LEASE_TAG], orders.resolve(db, shared.settings, video_id)):
        own = run_of(run, shared, video_id).take_lease(patience_s=0)
        assert own == token_of(run.run_id) and lease.held_by(db, video_id, own)
    assert not lease.held_by(db, video_id, own)
