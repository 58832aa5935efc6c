"""The Dagster UI as an operator sees it: a real browser on a running deployment; `REFRAMER_TEST_PICTURES` names a folder for pictures."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._core.storage.tags import BACKFILL_ID_TAG
from playwright.sync_api import Locator, Page, expect

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.tags import FILENAME_TAG, PARTITION_TAG
from reframer_pipeline.running import dagster_home
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.browser import chromium
from reframer_pipeline_tests.deployment.deployment import Deployment

pytestmark = pytest.mark.timeout(1500)  # most of it is waiting

PATIENCE_MS = 180_000


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        yield page


@pytest.fixture(scope="module")
def videos(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Ids of two completed videos at least, dropped into the folder if no other test has."""
    for seed in range(3_510_001, 3_510_003 - len(deployment.rows("videos"))):
        clip = tmp_path_factory.mktemp("clips") / f"{seed}.mp4"
        write_clip(make_clip(seed, n_frames=25, shots=1), clip)
        shutil.copy(clip, deployment.uploads)
    deployment.wait("two videos", lambda: len(deployment.rows("videos")) >= 2)
    deployment.wait_for_completed(len(deployment.rows("videos")))
    return [str(row["id"]) for row in deployment.rows("videos")]


def test_the_assets_and_what_was_made_of_them_are_seen(deployment: Deployment, page: Page, videos: list[str]) -> None:
    page.goto(f"{deployment.url}/asset-groups")
    for stage in NAMES:
        expect(page.get_by_text(stage, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "lineage")
    page.goto(f"{deployment.url}/assets/scenes")  # the last stage of a run shows its picture
    expect(page.get_by_text("[Show Markdown]")).to_have_count(2, timeout=PATIENCE_MS)
    dialog = page.get_by_role("dialog")
    sheet = dialog.locator("img")
    for link in page.get_by_text("[Show Markdown]").all():  # the table, and the picture
        link.click()
        expect(dialog.locator("img, table").first).to_be_visible(timeout=PATIENCE_MS)
        if sheet.count():
            break
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
    expect(sheet).to_be_visible(timeout=PATIENCE_MS)
    assert sheet.evaluate("picture => picture.complete && picture.naturalWidth") > 500
    keep(page, "materialization")


def test_a_backfill_over_selected_videos_completes(deployment: Deployment, page: Page, videos: list[str]) -> None:
    before = {row["run_id"] for row in deployment.rows("processing_jobs")}
    choose_all(page, f"{deployment.url}/assets/masks").click()
    page.get_by_text("Launch backfill").wait_for(state="hidden")
    page.goto(f"{deployment.url}/runs?view=backfills")
    expect(page.get_by_text(f"{len(videos)} partitions")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Success", exact=True)).to_be_visible(timeout=5 * PATIENCE_MS)
    keep(page, "backfill")
    deployment.wait_for_completed(len(videos))
    names = {str(row["id"]): row["filename"] for row in deployment.rows("videos")}
    with dagster_home.open_instance(deployment.settings) as instance:
        runs = [run for run in instance.get_runs() if BACKFILL_ID_TAG in run.tags]
    assert {run.tags[PARTITION_TAG]: run.tags[FILENAME_TAG] for run in runs} == names
    jobs = [row for row in deployment.rows("processing_jobs") if row["run_id"] not in before]
    assert sorted(str(row["video_id"]) for row in jobs) == sorted(videos)
    assert {(row["status"], row["stage"]) for row in jobs} == {("completed", "masks")}


def test_files_are_named_and_what_failed_says_why(deployment: Deployment, page: Page, videos: list[str], tmp_path: Path) -> None:
    (tmp_path / "memo.mp4").write_text("no video, but a memo")
    shutil.copy(tmp_path / "memo.mp4", deployment.uploads)
    deployment.wait("the refusal", lambda: [row for row in deployment.rows("uploads") if row["filename"] == "memo.mp4"])
    page.goto(f"{deployment.url}/runs")
    expect(page.get_by_text("reframer/filename: memo.mp4")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("reframer/failure: not_a_video").first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "runs")
    (row,) = [row for row in deployment.rows("videos") if str(row["id"]) == videos[0]]
    page.goto(f"{deployment.url}/assets/scenes?view=partitions&partition={videos[0]}")
    expect(page.get_by_text(row["filename"], exact=True)).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_role("dialog").get_by_text("what happens, and what could be replaced")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("dialog").get_by_text(re.compile("easy|medium|hard")).first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "scenes")


def choose_all(page: Page, url: str, tries: int = 3) -> Locator:
    """Choose all videos in the asset's dialog. Returns the button that launches.

    The dialog asks once which partitions there are, and stays empty if that answer is lost, as on a busy machine: people open it again.
    """
    for left in reversed(range(tries)):
        page.goto(url)
        page.get_by_role("button", name="Materialize…").click()
        dialog = page.get_by_role("dialog")
        launch = dialog.get_by_role("button", name="Launch backfill")
        try:
            expect(dialog.get_by_text("Add a partition")).to_be_visible(timeout=PATIENCE_MS / 2)  # not before they are there
            dialog.get_by_text("All", exact=True).click()
            expect(launch).to_be_enabled(timeout=PATIENCE_MS / 2)
        except AssertionError:
            keep(page, f"no partitions, {left} tries left")
            if not left:
                raise
        else:
            return launch
    raise AssertionError("unreachable")


def keep(page: Page, name: str) -> None:
    """Take a picture, for people."""
    if folder := os.environ.get("REFRAMER_TEST_PICTURES"):
        page.wait_for_timeout(1000)  # for what is still being drawn
        page.screenshot(path=Path(folder, f"{name}.png"))
