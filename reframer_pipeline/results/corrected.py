"""Corrected results: what becomes of a computed set when the corrections of its video are applied.

What belongs here: making the two results that differ, and the detections and masks that belong to them. What does not: which events there
are, and showing the result to readers (`correcting`); what a correction means (`corrections`).

A corrected set is a set like any other. Its tracks and scenes are results of their own, with rows, objects and ids of their own, and the
rest is the computed set's. So every reader has them without knowing of corrections, a page or a cursor never mixes two states, and what is
archived, exported, swept or rebuilt from the store is it as well. It could have been an overlay that each reader applies; but readers of
SQL, of Parquet and of the API would each need one, under the id of the set that they had read before.

Scenes are described anew over the corrected tracks, by the code as it is now and with the settings that they were made with: so figures,
elements and difficulty fit the tracks. Nothing is asked of Gemini: its answer is there. Tracks take some 80 bytes a sighting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline import schemas
from reframer_pipeline.corrections import tracks as tracking
from reframer_pipeline.corrections.applying import Standing, correct_scenes, correct_tracks
from reframer_pipeline.corrections.events import Event
from reframer_pipeline.corrections.tracks import Tracks
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import CorrectionRefused
from reframer_pipeline.handover import Redrawn, StageInput, StageOutput, record_batches
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.prepare import Prepared, prepare
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.scenes.analysis import analyse_scenes
from reframer_pipeline.scenes.camera import Camera
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.describers import gemini_again
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.versions import Recipe, StageKey

MOST: Final = 1_000  # corrections of a video that count at a time: each is applied again with every later one
NAMED: Final = frozenset(("label", "class"))  # of what is done by hand to a track, what its sightings have as well


@dataclass(frozen=True)
class Corrected:
    """A corrected set, in the store and not yet committed. The local files of what was made are the caller's to clear.

    Attributes:
        whole: Result ids by stage: the computed set's where nothing is corrected.
        made: The results that are to be committed, inputs first.
        standing: Of each event, None if it was applied, else why not.
    """

    whole: dict[str, str]
    made: list[Prepared]
    standing: dict[str, str | None]


def make(
    db: Database, store: ObjectStore, scratch: Path, video: VideoCard, computed: Mapping[str, StoredResult], events: Sequence[Event]
) -> Corrected:
    """Apply events to a computed set. Objects of what is made lie in the store afterwards.

    Args:
        db: For recipes, and Gemini's answer.
        store: The store.
        scratch: Folder for files on their way.
        video: The video.
        computed: The set, all six by stage.
        events: The corrections that count, in their order.

    Raises:
        CorrectionRefused: There are too many events, or Gemini's answer, by which the scenes were described, is not kept any more.
        ReframerError: As for any stage's result.
    """
    if len(events) > MOST:
        raise CorrectionRefused(f"The video has {MOST} corrections that count; that is the most.", "Undo some that are not needed.")
    whole = {stage: one.result_id for stage, one in computed.items()}
    rows = computed["trajectories"]
    tracks, standing, spoken = correct_tracks(tracking.read(rows.batches()), events, rows.manifest.content_digest)
    results, made, applied = dict(computed), list[Prepared](), list[Event]()

    def keep(output: StageOutput, key: StageKey, notes: Mapping[str, Any]) -> None:
        before = computed[output.stage]
        one = prepare(video, key, output, results, scratch, notes=notes, corrects=before, events=applied)
        made.append(one)
        store.put(one.local, one.row.object_key)
        results[output.stage] = StoredResult(one.row, store)
        whole[output.stage] = one.row.result_id

    try:
        applied = [event for event in events if standing.get(event.id, "") is None]
        if applied:
            key = _key(db, computed["trajectories"].manifest, {}, applied)
            by_hand = {one.track_id: dict(one.by_hand) for one in tracks.by_id.values() if one.by_hand}
            keep(StageOutput("trajectories", tracking.write(tracks)), key, {"by_hand": by_hand})
        anew = _described(db, results, computed["trajectories"]) if applied else computed["scenes"].batches()
        scenes, of_elements = _scenes(anew, tracks, events, spoken)
        standing |= of_elements
        applied = [event for event in events if standing[event.id] is None]
        if applied:
            key = _key(db, computed["scenes"].manifest, {"trajectories": whole["trajectories"]}, applied)
            keep(StageOutput("scenes", record_batches(scenes, schemas.SCENES)), key, {})
    except BaseException:
        drop(store, made)
        raise
    return Corrected(whole, made, standing)


def drop(store: ObjectStore, made: Sequence[Prepared]) -> None:
    """Delete what was made and is not to be kept."""
    for one in made:
        one.clear()
        store.delete(one.row.object_key)


def digest_of(applied: Sequence[Event]) -> str:
    """Of corrections: a set's key has this, and the footers of its files have the corrections themselves."""
    return hashlib.sha256(json.dumps([event.to_json() for event in applied], sort_keys=True).encode()).hexdigest()


def _key(db: Database, computed: ManifestRow, inputs: Mapping[str, str], applied: Sequence[Event]) -> StageKey:
    """The key of a corrected result: that of the computed one, and the events. Its recipe stays: planning asks for no other."""
    components = {**computed.components, "inputs": {**computed.inputs, **inputs}, "corrections": digest_of(applied)}
    row = db.fetch_one("SELECT inputs FROM recipes WHERE digest = %s", (computed.recipe,))
    made = computed.components
    recipe = Recipe(computed.stage, made["code_version"], made["settings"], made["weights"], row["inputs"] if row else {})
    return StageKey(computed.stage, components, recipe)


def _scenes(
    batches: Iterable[pa.RecordBatch], tracks: Tracks, events: Sequence[Event], spoken: Mapping[str, Sequence[str] | None]
) -> tuple[list[dict[str, Any]], Standing]:
    """Rows of `schemas.SCENES` with the corrections of elements, and how these stand."""
    rows = [row for batch in batches for row in batch.to_pylist()]
    analyses, standing = correct_scenes([json.loads(row["analysis"]) for row in rows], tracks, events, spoken)
    for row, analysis in zip(rows, analyses, strict=True):
        row["analysis"] = json.dumps(analysis, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return rows, standing


def _described(db: Database, results: Mapping[str, StoredResult], computed: StoredResult) -> Iterator[pa.RecordBatch]:
    """The scenes over corrected tracks; `computed` are the tracks as they were."""
    settings, seen = _settings(results), as_corrected(results, computed)
    facts = next(results["metadata"].batches()).to_pylist()[0]
    by_gemini = results["scenes"].manifest.components["settings"].get("resolved_describer") == "gemini"
    describer = gemini_again(db, settings, facts, results["frames"], results["masks"], computed) if by_gemini else LocalDescriber()
    frames, detections, masks, trajectories = (seen[stage] for stage in ("frames", "detections", "masks", "trajectories"))
    return analyse_scenes(facts, frames, detections, masks, trajectories, describer, settings, camera=_camera(results["scenes"]))


def _camera(computed: StoredResult) -> Camera:
    """What was said of the camera when the scenes were computed: the pictures may have been evicted since."""
    analyses = [json.loads(row) for batch in computed.batches(["analysis"]) for row in batch.column(0).to_pylist()]
    said = {(one["start_frame"], one["end_frame"]): one.get("camera_still") for one in analyses}
    return lambda shot, frames, seen: said.get((shot.start_frame, shot.end_frame))


def _settings(results: Mapping[str, StoredResult]) -> Settings:
    """The settings that a set was made with, as far as its results depend on them; the rest are defaults."""
    made = {name: value for one in results.values() for name, value in one.manifest.components["settings"].items()}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in made.items() if name in Settings.model_fields}
    return Settings.model_construct().model_copy(update=values)


def _part(whole: StageInput, gone: frozenset[str], named: Mapping[str, tuple[str | None, str | None]]) -> Redrawn:
    """Detections or masks as corrections of tracks leave them.

    Args:
        whole: The computed ones.
        gone: Detections that were deleted with their track.
        named: What detections are now: class and label, None where that stays.
    """
    deleted = pa.array(sorted(gone), pa.string())

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = batch.filter(pc.invert(pc.is_in(batch.column("detection_id"), deleted)))
        names = [named.get(one, (None, None)) for one in batch.column("detection_id").to_pylist()] if named else []
        for place, name in enumerate(("object_class", "label")):
            if name in batch.schema.names and any(one[place] for one in names):
                column = pc.coalesce(pa.array([one[place] for one in names], pa.string()), batch.column(name))
                batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), column)
        return batch

    return Redrawn(whole, "detection_id", change)


def as_corrected(results: Mapping[str, StoredResult], computed: StoredResult | None) -> dict[str, StageInput]:
    """A set of results, by stage, in which detections and masks fit the tracks: whoever reads Parquet reads them by this.

    Args:
        results: The stored ones.
        computed: The computed trajectories, if those of the set correct them; None: the results are as they are.
    """
    found: dict[str, StageInput] = dict(results)
    if computed is None:
        return found
    trajectories, named, there = results["trajectories"], dict[str, tuple[str | None, str | None]](), set[str]()
    by_hand: Mapping[str, Mapping[str, str]] = trajectories.manifest.stats["by_hand"]
    for name, detection_ids in _sightings(trajectories):
        there.update(detection_ids)
        what = by_hand.get(name, {})
        if not NAMED.isdisjoint(what):
            named.update(dict.fromkeys(detection_ids, (what.get("class"), what.get("label"))))
    gone = frozenset(one for _, detection_ids in _sightings(computed) for one in detection_ids if one not in there)
    for stage in {"detections", "masks"} & results.keys():
        found[stage] = _part(results[stage], gone, named)
    return found


def _sightings(trajectories: StoredResult) -> Iterator[tuple[str, list[str]]]:
    """Tracks, and the detections of each."""
    for batch in trajectories.batches(["track_id", "frames"]):
        for name, seen in zip(batch.column("track_id").to_pylist(), batch.column("frames"), strict=True):
            yield name, seen.values.field("detection_id").to_pylist()
