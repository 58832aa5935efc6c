"""`reframer list` and `show`: what is known of the videos, as tables and as JSON. Computes nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, min_sightings, with_settings
from reframer_pipeline.cli.tables import DEMO_NOTICE, OUT, Name, cell, line, own_settings, print_rows, table
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.media.timecode import Timecode
from reframer_pipeline.reading.videos import list_videos, show_video
from reframer_pipeline.results import doubting
from reframer_pipeline.results.storage import Storage, open_existing
from reframer_pipeline.settings import Settings
from reframer_pipeline.work.videos import find_video

DOUBTS: Final = 12  # that are shown


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per video, each on a line.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many at most, the newest first.")
@with_settings(*PLACES)
def list_(settings: Settings, as_json: bool, limit: int) -> None:
    """List the videos and where they stand.

    \b
    reframer list
    reframer list --json --limit 1000
    """
    with open_existing(settings) as storage:
        rows = list_videos(storage.db, limit=limit)
    columns = table("id", "video", "status", "resolution", "seconds", "reason", wraps={"video"})
    print_rows(rows, as_json, "No videos yet: `reframer run VIDEO` or `reframer demo`.", columns, _listed)


def _listed(row: Row) -> tuple[str | Name, ...]:
    length = f"{row['duration']:.1f}" if row.get("duration") else ""
    name = Name(row["filename"], "(demo models)" if row["demo_models"] else "")
    state = "archived" if row["archived"] and row["status"] == "completed" else row["status"]
    return row["video_id"][:8], name, state, row.get("resolution") or "", length, row.get("failure_code") or ""


@click.command()
@click.argument("video_id", shell_complete=video_ids)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@min_sightings
@with_settings(*PLACES)
def show(video_id: str, settings: Settings, as_json: bool, min_sightings: int) -> None:
    """Show what was found in one video.

    Its facts, stages with what is odd about them, tracks and scenes, and what can be replaced. The first characters of the id are enough.

    \b
    reframer show 3f2a
    reframer show 3f2a --min-sightings 2   without what was seen only once
    reframer show 3f2a --json > clip.json
    """
    with open_existing(settings) as storage:
        found = show_video(storage.db, find_video(storage.db, video_id))
        found["doubts"] = _doubts(storage, found)
    all_tracks = found["tracks"]
    found["tracks"] = [track for track in all_tracks if track["sightings"] >= min_sightings]
    if as_json:
        click.echo(json.dumps(found, default=str, indent=1))
        return
    print_video(found, left_out=len(all_tracks) - len(found["tracks"]))


def _doubts(storage: Storage, found: dict[str, Any]) -> list[Row]:
    """What to look at first; nothing where nothing is published, or what is cannot be read."""
    ids = [str(stage["result_id"]) for stage in found["stages"] if stage["stage"] == "scenes"]
    with suppress(ReframerError):
        return doubting.look(storage.db, storage.store, ids[0]) if ids else []
    return []


def print_video(found: dict[str, Any], left_out: int = 0) -> None:
    """Facts, tracks and scenes of one video, as `show_video` gives them but for so many tracks that were left out."""
    _print_facts(found)
    if found["demo_models"]:
        line(DEMO_NOTICE, style="yellow")
    if found["archived"]:
        line(f"archived: `reframer restore {found['video']['id'][:8]}` loads the rows back")
    if found["video"].get("settings_overrides"):
        line(f"settings of its own: {own_settings(found['video']['settings_overrides'])}")
    _print_gemini(found["gemini"])
    called = _timecode(found)
    _print_tracks(found["tracks"], called)
    if left_out:
        line(f"{left_out} tracks with fewer sightings are left out; the scenes count them")
    _print_scenes(found["scenes"], called)
    _print_corrections(found["corrections"])
    _print_doubts(found.get("doubts", []))


def _timecode(found: dict[str, Any]) -> Timecode:
    """How frames are called, as far as the rows that are shown tell whether the rate is constant."""
    known = [(row["start_frame"], row["start_seconds"]) for row in (*found["tracks"], *found["scenes"])]
    known += [(scene["end_frame"], scene["end_seconds"]) for scene in found["scenes"]]
    return Timecode.of(found["video"].get("fps") or 25, known)


def _print_facts(found: dict[str, Any]) -> None:
    video = found["video"]
    OUT.print(f"[bold]{cell(video['filename'])}[/bold]  {video['id']}  {video['status']}", soft_wrap=True)
    if video.get("failure_code"):
        OUT.print(f"[red]\\[{video['failure_code']}][/red] {cell(video['failure_message'])}", soft_wrap=True)
    for job in found["jobs"]:
        if job["status"] == "processing":
            line(f"now at {job['stage'] or 'its first stage'}, {job['progress']:.0%}")
        elif job["status"] == "pending":
            line("a run waits for its turn")
    if video.get("duration"):
        facts = f"{video['duration']:.2f} s, {video['frame_count']} frames at {video['fps']:.3f}/s"
        line(f"{video['resolution']} {video['codec']}, {facts}")
    for stage in found["stages"]:
        candidates = stage["stats"].get("candidates", 0)
        more = f" (and {candidates} candidates)" if candidates else ""
        more += "   corrected by hand" if stage["by_hand"] else ""
        more += "   pictures evicted" if stage["result_id"] in found["evicted"] else ""
        line(f"  {stage['stage']:<13} {stage['row_count'] - candidates:>7} rows {stage['seconds']:>8.1f} s   {stage['result_id']}{more}")
        for said in (*stage["stats"].get("notes", ()), *_warnings(stage["checks"])):
            line(f"      {said}", style="yellow")


def _warnings(checks: list[dict[str, Any]]) -> list[str]:
    """Of what is stored, only what warns has not passed."""
    return [f"{check['name']}: {check['detail']}" for check in checks if not check["passed"]]


def _print_gemini(asked: list[dict[str, Any]]) -> None:
    for one in asked:
        used = f"{one['input_tokens']} + {one['output_tokens']} tokens, ${one['cost_usd']:.4f}"
        if one["answered_at"]:
            said = f"{one['model_version']}, prompt {one['prompt_version']}: {used}"
        elif one["being_asked"]:
            said = f"{one['model']} is being asked"
        elif one["failure_code"]:
            said = f"{one['model']} did not answer: [{one['failure_code']}] {one['failure_message']}"
        else:
            said = f"{one['model']} was asked, and the asking was interrupted"
        if not one["answered_at"] and one["requests"]:
            said += f" ({used})"
        line(f"  gemini        {said}")
    if len(asked) > 1:
        total = sum(one["cost_usd"] for one in asked)
        line(f"  gemini        ${total:.4f} in all for this video")


def _print_tracks(tracks: list[dict[str, Any]], called: Timecode) -> None:
    if not tracks:
        return
    columns = table("track", "class", "label", "from", "frames", "seconds", "seen", "confidence", "", title="tracks")
    for track in tracks:
        span = f"{track['start_frame']}–{track['end_frame']}"
        label = cell(track["label"] or "")
        figures = f"{track['seconds']:.2f}", str(track["sightings"]), f"{track['confidence']:.2f}"
        begins = called.at(track["start_frame"], track["start_seconds"])
        columns.add_row(track["track_id"], track["class"], label, begins, span, *figures, _by_hand(track["by_hand"]))
    OUT.print(columns)


def _by_hand(marks: list[str]) -> str:
    return f"by hand: {', '.join(marks)}" if marks else ""


def _print_corrections(corrections: list[dict[str, Any]]) -> None:
    """Those that say nothing of what is shown: the others stand beside it."""
    for one in corrections:
        if one["applied"] is False:
            line(f"correction {one['number']} no longer matches, {one['says']}: {one['trouble']}", style="yellow")


def _print_doubts(doubts: list[dict[str, Any]]) -> None:
    if not doubts:
        return
    columns = table("look at", "frame", "why", title="doubts", wraps={"why"})
    for one in doubts[:DOUBTS]:
        what = one["track_id"] or f"element {one['scene_number']}:{one['element_number']}"
        columns.add_row(what, "" if one["frame_number"] is None else str(one["frame_number"]), cell(one["says"]))
    OUT.print(columns)
    if len(doubts) > DOUBTS:
        line(f"and {len(doubts) - DOUBTS} more: --json has them all")


def _print_scenes(scenes: list[dict[str, Any]], called: Timecode) -> None:
    for scene in scenes:
        analysis = scene["analysis_data"]
        facts = f"importance {analysis['importance']}, {analysis['scene_type']} ({analysis['describer']})"
        begins, ends = (called.at(scene[f"{one}_frame"], scene[f"{one}_seconds"]) for one in ("start", "end"))
        frames = f"{begins}–{ends}, frames {scene['start_frame']}–{scene['end_frame']}"
        OUT.print(f"[bold]scene {scene['scene_number']}[/bold]  {frames}, {cell(facts)}")
        OUT.print(f"  {cell(analysis['description'])}")
        for number, element in enumerate(analysis["replaceable_elements"], start=1):
            tracks = ", ".join(element.get("tracks", [])) or "(not found among the tracks)"
            if element.get("model_difficulty") and element["model_difficulty"] != element["difficulty"]:
                tracks += f", {element['model_difficulty']} in Gemini's opinion"
            by_hand = f"  ({_by_hand(element['by_hand'])})" if element.get("by_hand") else ""
            place = f"{scene['scene_number']}:{number}"
            line(f"    {place} {element['difficulty']:<7} {element['type']:<8} {element['description']} {tracks}{by_hand}")
            if (never := element.get("figures", {}).get("plate_never_seen")) is not None:
                shown = "".join(f", {one['share']:.0%} in frame {one['frame']}" for one in element["plate_frames"])
                line(f"        behind it: {never:.0%} never seen{shown}")
