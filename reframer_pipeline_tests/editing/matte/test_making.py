"""Mattes of the drawn clip, against its exact truth and the stored masks."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.editing.matte.making import make_matte, softened
from reframer_pipeline.editing.matte.order import MatteOrder, Stored, Wanted, order_of, paths
from reframer_pipeline.editing.writing import Shape
from reframer_pipeline.failures import ObjectMissing, ResultsGone
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.store.objects import video_key
from reframer_pipeline.vision import rle
from reframer_pipeline_tests.computed import CLIP_SEED
from reframer_pipeline_tests.editing.films import planes, streams, ticks

pytestmark = pytest.mark.models
SIZE = (640, 360)


@pytest.fixture(scope="module")
def results(shared: Storage, done: VideoOutcome) -> Stored:
    return sheets.published(shared, str(done.video_id))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def whole(shared: Storage, results: Stored) -> MatteOrder:
    """All tracks of both shots."""
    return order_of(results, shared.settings, Wanted([path.track_id for path in paths(results)]), Shape("png"))


@pytest.fixture(scope="module")
def mattes(shared: Storage, whole: MatteOrder, tmp_path_factory: pytest.TempPathFactory) -> dict[int, np.ndarray]:
    return _pictures(shared, whole, tmp_path_factory.mktemp("mattes") / "whole.zip")


def _pictures(shared: Storage, order: MatteOrder, target: Path) -> dict[int, np.ndarray]:
    told: list[tuple[int, int]] = []
    make_matte(shared, order, target, lambda done, total: told.append((done, total)))
    count = order.stop - order.start
    assert told == [(done, count) for done in range(1, count + 1)]
    with zipfile.ZipFile(target) as archive:
        return {
            int(name[:8]): cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED) for name in archive.namelist()
        }


def _stored(results: Stored, tracks: tuple[str, ...]) -> dict[int, np.ndarray]:
    """The union of the stored masks in the sampled frames in which each of the tracks has one, or is not at all."""
    rows = {row["detection_id"]: row for batch in results["masks"].batches() for row in batch.to_pylist()}
    sampled = [row["frame_number"] for batch in results["frames"].batches() for row in batch.to_pylist() if row["sampled"]]
    found = {number: np.zeros(SIZE[::-1], bool) for number in sampled}
    for path in paths(results, tracks):
        for number in sampled:
            place = path.at(number, number / 25)
            if place is not None and number in path.frames:
                row = rows[path.detection_ids[place.sightings[0]]]
                found[number] |= rle.decode(row["rle"], row["height"], row["width"])
            elif place is not None:  # it was lost there for a while
                found.pop(number, None)
    return found


def test_every_frame_has_a_matte(mattes: dict[int, np.ndarray], whole: MatteOrder) -> None:
    assert list(mattes) == list(range(whole.start, whole.stop)) and len(mattes) == 50
    assert all(matte.shape == SIZE[::-1] and set(np.unique(matte)) <= {0, 255} for matte in mattes.values())
    assert all(matte.any() for matte in mattes.values())


def test_on_sampled_frames_it_is_the_stored_mask(mattes: dict[int, np.ndarray], results: Stored, whole: MatteOrder) -> None:
    stored = _stored(results, whole.tracks)
    assert len(stored) >= 8
    for number, mask in stored.items():
        assert np.array_equal(mattes[number] == 255, mask), number


def test_between_them_it_is_the_truth_as_nearly_as_the_masks_are(mattes: dict[int, np.ndarray], results: Stored, whole: MatteOrder) -> None:
    """In the first shot, all of whose objects are tracked throughout; the second one's mean counts too."""
    clip, stored = make_clip(CLIP_SEED, n_frames=50, shots=2), _stored(results, whole.tracks)
    overlap = {}
    for number, matte in mattes.items():
        truth = np.logical_or.reduce([thing.mask for thing in clip.frame(number)[1]])
        overlap[number] = ((matte == 255) & truth).sum() / ((matte == 255) | truth).sum()
    first = range(clip.cuts[0])
    assert np.mean(list(overlap.values())) >= 0.80
    between = [overlap[number] for number in first if number % 5]
    assert np.mean(between) >= np.mean([overlap[number] for number in first if number in stored]) - 0.01


def test_a_cut_ends_the_range(shared: Storage, results: Stored, mattes: dict[int, np.ndarray], tmp_path: Path) -> None:
    """Mattes go up to the cut, beyond the last sighting, and not over it."""
    (cut,) = make_clip(CLIP_SEED, n_frames=50, shots=2).cuts
    first = order_of(results, shared.settings, Wanted(scene=1), Shape("png"))
    assert first.stop == cut and mattes[cut - 1].any()
    over = _pictures(shared, replace(first, start=20, stop=cut + 4), tmp_path / "over.zip")
    assert all(np.array_equal(over[number], mattes[number]) for number in range(20, cut))
    assert all(not over[number].any() for number in range(cut, cut + 4))


def test_a_cutout_film_has_them_too(shared: Storage, whole: MatteOrder, mattes: dict[int, np.ndarray], tmp_path: Path) -> None:
    """From the middle of the first shot on: the film begins with another frame than the source."""
    order = replace(whole, shape=Shape("prores", True), start=10, stop=21)
    make_matte(shared, order, tmp_path / "film.mov")
    found = planes(tmp_path / "film.mov", SIZE, "prores")
    assert len(found) == 11 and streams(tmp_path / "film.mov")["video"]["avg_frame_rate"] == "25/1"
    assert len(set(np.diff(ticks(tmp_path / "film.mov")))) == 1
    for number, picture in zip(range(10, 21), found, strict=True):
        assert np.abs(picture[3] - mattes[number]).max() <= 1, number


def test_softened_edges_go_up_over_so_many_pixels() -> None:
    matte = np.zeros((50, 100), np.uint8)
    matte[:, 50:] = 255
    assert softened(matte, 0) is matte
    row = softened(matte, 8)[25].astype(int)
    assert (np.diff(row) >= 0).all() and row[50 - 5] < 10 and row[50 + 4] > 245 and 100 < row[50] < 160


def test_softening_changes_edges_alone(
    shared: Storage, results: Stored, mattes: dict[int, np.ndarray], whole: MatteOrder, tmp_path: Path
) -> None:
    made = _pictures(shared, replace(whole, soften=4.0, stop=whole.start + 6), tmp_path / "soft.zip")
    for number, matte in made.items():
        edge = cv2.dilate(mattes[number], np.ones((13, 13), np.uint8)) != cv2.erode(mattes[number], np.ones((13, 13), np.uint8))
        assert np.array_equal(matte[~edge], mattes[number][~edge]) and len(np.unique(matte)) > 50


def test_results_that_are_gone_are_said_to_be(shared: Storage, whole: MatteOrder, tmp_path: Path) -> None:
    lost = tuple((stage, result if stage != "masks" else "00000000-0000-5000-8000-000000000000") for stage, result in whole.results)
    with pytest.raises(ResultsGone):
        make_matte(shared, replace(whole, results=lost), tmp_path / "x.zip")


def test_a_file_that_is_gone_is_said_to_be(shared: Storage, whole: MatteOrder, tmp_path: Path) -> None:
    stored = shared.store.local_path(video_key(whole.sha256))
    assert stored is not None
    away = stored.rename(stored.with_name("away"))
    try:
        with pytest.raises(ObjectMissing):
            make_matte(shared, whole, tmp_path / "x.zip")
    finally:
        away.rename(stored)
