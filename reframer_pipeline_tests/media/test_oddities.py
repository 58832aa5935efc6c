"""What is odd about a file and refuses nothing, and what its header promises and does not hold."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reframer_pipeline.failures import DamagedVideo, NoDecodableFrames, NotAVideo, TruncatedVideo, UnsupportedCodec
from reframer_pipeline.media import probe as probe_module
from reframer_pipeline.media.boxes import MOST_STEPS, Boxes, Edit, read_boxes, riff_is_whole
from reframer_pipeline.media.probe import VideoMetadata, probe
from reframer_pipeline.results.parquet import read_batches
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.metadata import METADATA
from reframer_pipeline_tests.media.made import absolute, avi, edited, facts, ffmpeg, fields, hdr, numbered, numbered_jpeg, sampled
from reframer_pipeline_tests.support import MemoryInput, media_dir

pytestmark = pytest.mark.slow

PICTURES = [numbered_jpeg(number) for number in range(40)]
SINE = ("-f", "lavfi", "-i", "sine=d=0.8")


def test_the_hunt_comes_out_as_its_facts_say(tmp_path: Path) -> None:
    folder = media_dir() / "hunt"
    for name, right in json.loads((folder / "facts.json").read_text()).items():
        metadata, rows, store = sampled(folder / name, tmp_path / "store")
        assert right["status"] == "completed", name
        if "frames" in right:
            assert (metadata.frame_count, len(rows)) == (right["frames"], right["frames"]), name
        if "width" in right:
            assert (metadata.width, metadata.height) == (right["width"], right["height"]), name
        if "height" in right:
            assert metadata.height == right["height"], name
        if "fps" in right:
            assert metadata.fps == Fraction(right["fps"]), name
        if "average_fps_about" in right:
            assert float(metadata.fps) == pytest.approx(right["average_fps_about"], abs=0.01) and metadata.variable_frame_rate, name
        if "seconds_about" in right:
            assert metadata.duration_seconds == pytest.approx(right["seconds_about"], abs=0.01), name
        assert bool(metadata.notes) == (name in NOTED), (name, metadata.notes)
        assert all(word in metadata.notes[0] for word in NOTED.get(name, ())), name
        for start in right.get("cuts_seconds", ()):  # a look into every slide
            assert any(start <= row["timestamp"] < start + 2 for row in rows if row["sampled"]), (name, start)
        assert store.read(0).shape == (metadata.height, metadata.width, 3), name


NOTED = {
    "audio_adpcm_yamaha.avi": ("adpcm_yamaha",),
    "audio_g722.avi": ("g722",),
    "cover_bmp.mp4": ("bmp",),
    "elst_slowmo_rate_025.mp4": ("edit list", "0.25"),
}


# --- streams beside the picture


@pytest.mark.parametrize(("name", "sound"), [("a.avi", "adpcm_yamaha"), ("b.avi", "g722"), ("c.avi", "adpcm_swf")])
def test_a_sound_that_nobody_decodes_refuses_nothing(tmp_path: Path, name: str, sound: str) -> None:
    clip = tmp_path / name
    rate = ("-ar", "22050") if sound == "adpcm_swf" else ("-ar", "16000")
    ffmpeg("-i", numbered(tmp_path / "a.mp4"), *SINE, "-c:v", "copy", "-c:a", sound, *rate, "-ac", "1", clip)
    metadata, rows, _ = sampled(clip, tmp_path / "store")
    assert (metadata.frame_count, len(rows), metadata.has_audio) == (20, 20, True)
    assert metadata.notes == (f"Beside the picture there is a stream in {sound}, which is not decoded.",)


@pytest.mark.parametrize(
    ("sound", "name", "fill"),
    [("aac", b"esds", b"\xff"), ("alac", b"alac", b"\0"), ("libopus", b"dOps", b"\xff")],
)
@pytest.mark.parametrize("options", ["-bf 2", "-movflags +faststart", "-movflags frag_keyframe+empty_moov"])
def test_a_sound_whose_decoder_cannot_be_opened_refuses_nothing(tmp_path: Path, sound: str, name: bytes, fill: bytes, options: str) -> None:
    """As of AAC in a form that FFmpeg does not know (xHE-AAC): what the header holds for the decoder is not understood."""
    clip = tmp_path / "b.mp4"
    ffmpeg("-i", numbered(tmp_path / "a.mp4"), *SINE, "-c:v", "copy", "-c:a", sound, *options.split(), clip)
    whole, data = facts(clip), bytearray(clip.read_bytes())
    at = data.rindex(name)
    end = at - 4 + int(struct.unpack_from(">I", data, at - 4)[0])
    start = data.index(b"\x05\x80\x80\x80", data.index(b"\x04\x80\x80\x80", at)) + 5 if sound == "aac" else at + 8
    data[start:end] = fill * (end - start)
    clip.write_bytes(data)
    metadata, rows, _ = sampled(clip, tmp_path / "store")
    assert metadata.notes == ("Beside the picture there is something that cannot be opened, such as a sound in an unknown form.",)
    assert replace(metadata, notes=()) == whole and len(rows) == 20


def test_a_header_that_ffmpeg_cannot_read_is_damaged_whatever_is_in_it(tmp_path: Path) -> None:
    """The demuxer gives up, over the sound or not: then no decode can open the file."""
    ffmpeg("-i", numbered(tmp_path / "a.mp4"), *SINE, "-c:v", "copy", "-c:a", "flac", "-strict", "-2", tmp_path / "b.mp4")
    data = bytearray((tmp_path / "b.mp4").read_bytes())
    at = data.rindex(b"dfLa") + 8
    data[at : at + 8] = bytes(8)
    (tmp_path / "b.mp4").write_bytes(data)
    with pytest.raises(DamagedVideo, match="header cannot be read"):
        facts(tmp_path / "b.mp4")


def test_a_cover_that_nobody_decodes_refuses_nothing(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=32x32", "-frames:v", "1", tmp_path / "cover.bmp")
    inputs = ("-i", numbered(tmp_path / "a.mp4"), "-i", tmp_path / "cover.bmp", "-map", "0", "-map", "1")
    ffmpeg(*inputs, "-c", "copy", "-disposition:v:1", "attached_pic", tmp_path / "b.mp4")
    metadata, rows, _ = sampled(tmp_path / "b.mp4", tmp_path / "store")
    assert (metadata.width, metadata.frame_count, len(rows)) == (64, 20, 20) and "bmp" in metadata.notes[0]


def test_the_picture_itself_stays_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=64x48:d=0.2", *SINE, "-c:v", "zmbv", "-c:a", "adpcm_yamaha", tmp_path / "a.avi")
    with pytest.raises(UnsupportedCodec, match="zmbv"):
        facts(tmp_path / "a.avi")


def test_notes_are_in_the_table_that_people_see(tmp_path: Path) -> None:
    ffmpeg("-i", numbered(tmp_path / "a.mp4"), *SINE, "-c:v", "copy", "-c:a", "adpcm_yamaha", tmp_path / "a.avi")
    rows = facts(tmp_path / "a.avi").to_batch().to_pylist()
    _, cells, _ = METADATA.cells(MemoryInput("metadata", rows))
    assert ["note 1", "Beside the picture there is a stream in adpcm_yamaha, which is not decoded."] in cells


def test_facts_of_code_version_1_stay_readable(tmp_path: Path) -> None:
    """Their Parquet has no notes, no mirror and no tone mapping."""
    old = facts(numbered(tmp_path / "a.mp4")).to_batch().drop_columns(["mirrored", "tone_mapped_from", "notes"])
    pq.write_table(pa.Table.from_batches([old]), tmp_path / "old.parquet")
    (batch,) = read_batches(tmp_path / "old.parquet", METADATA.schema.names)
    assert VideoMetadata.from_batch(batch).notes == ()

    class Old(MemoryInput):
        def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
            return read_batches(tmp_path / "old.parquet", columns or METADATA.schema.names)

    _, cells, _ = METADATA.cells(Old("metadata", []))
    assert ["displayed", "64x48, rotated 0°"] in cells


# --- packets and pictures


def test_fields_are_not_pictures(tmp_path: Path) -> None:
    """A field-coded recording: 40 pictures in 80 packets, of which the header says 50 a second."""
    clip = avi(tmp_path / "a.avi", fields(40), codec=b"H264", rate=(50, 1), size=(64, 64))
    metadata, rows, _ = sampled(clip, tmp_path / "store")
    assert (metadata.frame_count, len(rows), metadata.fps, metadata.duration_seconds) == (40, 40, 25, 1.6)
    assert not metadata.variable_frame_rate
    ffmpeg("-i", clip, "-c", "copy", tmp_path / "b.mp4")
    assert (facts(tmp_path / "b.mp4").frame_count, facts(tmp_path / "b.mp4").fps) == (40, 25)
    assert facts(clip, Settings(max_frames=40)).frame_count == 40  # and not 80


def test_pictures_are_counted_under_the_eyes_of_the_run(tmp_path: Path) -> None:
    """So that it can be interrupted, and people see how far it is."""
    clip = avi(tmp_path / "a.avi", fields(40), codec=b"H264", rate=(50, 1), size=(64, 64))
    told: list[tuple[int, int]] = []
    probe(clip, Settings(), lambda done, total: told.append((done, total)), sha256="0" * 64)
    assert told == [(0, 0), (0, 0), (32, 0), (64, 0), (80, 0), (32, 80), (40, 80)]

    def interrupted(done: int, total: int) -> None:
        if total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe(clip, Settings(), interrupted, sha256="0" * 64)


def test_a_damaged_field_costs_no_more_than_its_picture(tmp_path: Path) -> None:
    units = fields(40)
    units[30] = units[30][:5] + bytes(len(units[30]) - 5)
    units[31] = units[31][:5] + bytes(len(units[31]) - 5)
    metadata, rows, _ = sampled(avi(tmp_path / "a.avi", units, codec=b"H264", rate=(50, 1), size=(64, 64)), tmp_path / "store")
    assert metadata.frame_count in (39, 40) and len(rows) in (39, 40) and metadata.fps == pytest.approx(25, rel=0.03)


def test_the_rate_of_a_sparse_recording_is_its_average(tmp_path: Path) -> None:
    """A screen recording: the header has the recorder's clock."""
    late = "settb=1/12800,setpts='if(eq(N,10),51200,512*N)'"
    clip = numbered(tmp_path / "a.mp4", frames=11, filters=late, options="-bf 3 -b_strategy 0 -preset medium")
    metadata = facts(clip)
    assert metadata.fps == pytest.approx(11 / metadata.duration_seconds) and metadata.fps < 3 and metadata.variable_frame_rate


def test_dropped_frames_of_an_avi_are_not_its_rate(tmp_path: Path) -> None:
    """600 frames a second by the header, of which 39 of 40 are empty: 28 pictures in 1.8 s."""
    chunks = [chunk for number in range(28) for chunk in (PICTURES[number], *[b""] * (39 if number % 2 else 40))]
    metadata, rows, _ = sampled(avi(tmp_path / "a.avi", chunks, rate=(600, 1)), tmp_path / "store")
    assert len(rows) == metadata.frame_count == 28
    assert metadata.fps == pytest.approx(28 / metadata.duration_seconds) and metadata.fps < 16


# --- whole and cut off


@pytest.mark.parametrize(("before", "after"), [(20, 0), (0, 20), (10, 10)])
def test_an_avi_with_empty_chunks_at_its_ends_is_whole(tmp_path: Path, before: int, after: int) -> None:
    clip = avi(tmp_path / "a.avi", [b""] * before + PICTURES[:20] + [b""] * after)
    metadata, rows, _ = sampled(clip, tmp_path / "store")
    assert (metadata.frame_count, len(rows), metadata.fps) == (20, 20, 25)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_an_avi_that_was_cut_off_is_not(tmp_path: Path, share: float) -> None:
    data = avi(tmp_path / "a.avi", PICTURES).read_bytes()
    (tmp_path / "a.avi").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TruncatedVideo, match="promises 1.60 s"):
        facts(tmp_path / "a.avi")


def test_an_empty_edit_before_a_trim_is_whole(tmp_path: Path) -> None:
    """Shown after 0.7 s, and then the second second alone."""
    clip = edited(numbered(tmp_path / "a.mp4", frames=50, options="-g 50 -bf 2"), [(0.7, None, 1), (1.0, 1.0, 1)])
    metadata, rows, _ = sampled(clip, tmp_path / "store")
    assert (metadata.frame_count, len(rows), metadata.duration_seconds, metadata.notes) == (25, 25, 1.0, ())


def test_an_empty_edit_hides_no_cut(tmp_path: Path) -> None:
    noise = numbered(tmp_path / "a.mp4", frames=100, filters="noise=alls=60:allf=t", options="-g 5 -bf 0")
    clip = edited(noise, [(0.7, None, 1), (4.0, 0.0, 1)])
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedVideo):
        facts(tmp_path / "b.mp4")


@pytest.mark.parametrize("late_s", [0, 1000])
def test_a_recording_of_a_live_stream_is_whole_or_cut_off_whenever_it_began(tmp_path: Path, late_s: int) -> None:
    """What its list of fragments promises counts from time 0."""
    options = "-g 10 -bf 0 -movflags frag_keyframe+empty_moov+global_sidx"
    clip = absolute(numbered(tmp_path / "a.mp4", frames=100, filters="noise=alls=60:allf=t", options=options), late_s)
    metadata = facts(clip)
    assert (metadata.frame_count, metadata.duration_seconds, metadata.start_pts) == (100, 4.0, late_s / metadata.time_base)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedVideo, match="promises 4.00 s"):
        facts(clip)


# --- edit lists


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([(0.4, 0.0, 1), (0.4, 1.0, 0.25)], "another speed (0.25)"),
        ([(0.4, 0.0, 1), (0.4, 1.0, 0)], "another speed (0)"),
        ([(0.4, 0.0, 1), (1.0, None, 1), (0.4, 1.0, 1)], "nothing for 1.00 s"),
        ([(0.4, 0.0, 1), (0.4, 1.0, 1)], None),
        ([(0.4, None, 1), (0.4, 1.0, 1)], None),
    ],
)
def test_edit_lists_that_ffmpeg_does_not_follow_are_named(
    tmp_path: Path, edits: list[tuple[float, float | None, float]], said: str | None
) -> None:
    metadata = facts(edited(numbered(tmp_path / "a.mp4", frames=50, options="-g 10"), edits))
    assert len(metadata.notes) == (said is not None) and all(said in note for note in metadata.notes if said)


def test_only_a_file_that_was_walked_to_its_end_is_a_head_alone(tmp_path: Path) -> None:
    """A recording that can be played while it grows, of which the last per cent is missing: no box of media is whole."""
    clip = numbered(tmp_path / "a.mp4", frames=100, filters="noise=alls=60:allf=t", options="-movflags +faststart -g 5 -bf 0")
    data = clip.read_bytes().replace(b"udta", b"mvex")
    assert data.index(b"mvex") < data.index(b"mdat")
    clip.write_bytes(data)
    assert facts(clip).frame_count == 100 and not read_boxes(clip).head_only
    clip.write_bytes(data[: len(data) * 99 // 100])
    assert 96 <= facts(clip).frame_count < 100 and not read_boxes(clip).head_only
    clip.write_bytes(data[: data.index(b"moov") - 4] + b"\0\0\0\x08free" * (MOST_STEPS + 1) + data[data.index(b"moov") - 4 :])
    assert not read_boxes(clip).head_only
    clip.write_bytes(data[: data.index(b"mdat") - 4])
    assert read_boxes(clip).head_only


def test_boxes_of_hostile_files_are_bounded(tmp_path: Path) -> None:
    clip = edited(numbered(tmp_path / "a.mp4", frames=50), [(0.4, 0.0, 1), (0.4, 1.0, 0.5)])
    data = clip.read_bytes()
    assert read_boxes(clip).edits == {1: [Edit(0.4, False, 1.0), Edit(0.4, False, 0.5)]}
    for at in range(data.rindex(b"moov") - 4, len(data)):  # any byte may lie
        for value in (0, 1, 255):
            clip.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            read_boxes(clip)
    count = data.rindex(b"elst") + 8
    clip.write_bytes(data[:count] + b"\xff" * 4 + data[count + 4 :])
    assert len(read_boxes(clip).edits[1]) == 2  # and not four thousand million
    clip.write_bytes(b"\0\0\0\x08free" * (MOST_STEPS + 1) + data)
    assert read_boxes(clip) == Boxes()
    edits = b"\0\0\1\0edts" + b"\0\0\0\xf8elst" + bytes(4) + struct.pack(">I", 19) + bytes(12 * 19) + bytes(4)
    heads = [b"\0\0\0\x5ctkhd" + bytes(12) + struct.pack(">I", n) + bytes(68) for n in range(900)]
    tracks = [struct.pack(">I4s", 8 + len(head + edits), b"trak") + head + edits for head in heads]
    clip.write_bytes(struct.pack(">I4s", 8 + sum(map(len, tracks)), b"moov") + b"".join(tracks))
    assert 0 < sum(map(len, read_boxes(clip).edits.values())) < MOST_STEPS  # of all tracks together
    for start in (b"", b"\0", b"\0\0\0\x01moov", b"\0\0\0\x01moov" + b"\xff" * 8, b"\0\0\0\0moov"):
        clip.write_bytes(start)
        assert read_boxes(clip) == Boxes() and not riff_is_whole(clip)


# --- HDR


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("rgb", [(200, 30, 30), (30, 160, 60), (128, 128, 128)])
def test_hdr_is_mapped_to_sdr(tmp_path: Path, transfer: str, rgb: tuple[int, int, int]) -> None:
    """Without, PQ's red of (200, 30, 30) arrives as (104, 61, 45)."""
    if not probe_module.tone_maps():
        pytest.skip("this FFmpeg has no zscale")
    metadata, rows, store = sampled(hdr(tmp_path / "a.mp4", rgb, transfer), tmp_path / "store")
    assert len(rows) == 6 and metadata.tone_mapped_from == transfer and "mapped to SDR" in metadata.notes[0]
    assert np.abs(store.read(0).reshape(-1, 3).mean(axis=0) - rgb).max() < 33  # saturated HLG loses most, 30 of 255


def test_white_is_as_light_whatever_peak_a_file_claims(tmp_path: Path) -> None:
    if not probe_module.tone_maps():
        pytest.skip("this FFmpeg has no zscale")
    seen = []
    for peak in (600, 1000, 4000):
        clip = hdr(tmp_path / "a.mp4", (255, 255, 255), "smpte2084", more=f"lossless=1:max-cll={peak},400")
        seen.append(round(float(sampled(clip, tmp_path / "store")[2].read(0).mean())))
    assert seen == [217] * 3


def test_hdr_that_is_not_yuv_is_no_fault_of_ffmpeg(tmp_path: Path) -> None:
    ffmpeg("-i", hdr(tmp_path / "a.mp4", (200, 30, 30), "smpte2084"), "-pix_fmt", "gbrp10le", "-c:v", "libx265", "-x265-params",
           "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=gbr", tmp_path / "b.mp4")  # fmt: skip
    metadata = facts(tmp_path / "b.mp4")
    assert metadata.tone_mapped_from is None
    assert metadata.notes == ("HDR (PQ), not mapped to SDR, so colours look dull: only YUV is, and this is gbrp10le.",)


def test_hdr_without_zscale_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "tone_maps", lambda: False)
    metadata, rows, _ = sampled(hdr(tmp_path / "a.mp4", (200, 30, 30), "smpte2084"), tmp_path / "store")
    assert len(rows) == 6 and metadata.tone_mapped_from is None
    assert "HDR (PQ), not mapped" in metadata.notes[0] and "--force" in metadata.notes[0]


def test_hdr_of_an_odd_size(tmp_path: Path) -> None:
    clip = hdr(tmp_path / "a.mp4", (128, 128, 128), "smpte2084")
    ffmpeg("-i", clip, "-c", "copy", "-aspect", "63:64", tmp_path / "b.mp4")
    metadata, rows, store = sampled(tmp_path / "b.mp4", tmp_path / "store")
    assert metadata.width == 63 and len(rows) == 6 and store.read(0).shape == (64, 63, 3)


# --- messages


def test_an_answer_that_breaks_off_is_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffprobe dies while it prints what it saw of the first pictures."""
    clip, folder = numbered(tmp_path / "a.mp4"), tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("ffprobe")
    dying = f'case "$*" in *read_intervals*) {real} "$@" | head -c 99; kill -SEGV $$;; *) exec {real} "$@";; esac'
    (folder / "ffprobe").write_text(f"#!/bin/sh\n{dying}\n")
    (folder / "ffprobe").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(DamagedVideo, match="first pictures cannot be read"):
        facts(clip)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    companion = tmp_path / "._clip.mp4"
    companion.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100))
    with pytest.raises(NotAVideo, match="companion file of macOS"):
        probe(companion, Settings(), sha256="0" * 64)
    stream = numbered(tmp_path / "a.mp4", frames=30, options="-movflags frag_keyframe+empty_moov -g 10").read_bytes()
    head, rest = stream[: stream.index(b"moof") - 4], stream[stream.index(b"moof") - 4 :]
    (tmp_path / "head.mp4").write_bytes(head)
    with pytest.raises(NoDecodableFrames, match="only the head of a stream"):
        facts(tmp_path / "head.mp4")
    (tmp_path / "piece.m4s").write_bytes(rest)
    with pytest.raises(NotAVideo, match="a piece of a stream without its head"):
        facts(tmp_path / "piece.m4s")
