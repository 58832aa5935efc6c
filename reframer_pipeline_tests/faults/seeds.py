"""The small real files that mutants are made of.

What belongs here: making them, and choosing some of the shared ones. What does not: changing them (`mutants`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reframer_pipeline_tests.media.made import avi, ffmpeg, numbered, numbered_jpeg

SMALL: Final = 100_000  # bytes: a file that is mostly heads, where changes hit
_SOUND: Final = ("-f", "lavfi", "-i", "sine=d=0.5")


def made(folder: Path) -> list[Path]:
    """Files of ten to twenty small pictures in the containers and codecs that people upload."""
    exact = "-fflags +bitexact -flags:v +bitexact -flags:a +bitexact"  # the same bytes each time
    plain = numbered(folder / "plain.mp4", frames=12, options=exact)
    numbered(folder / "ordered.mp4", frames=20, options=f"-bf 2 -g 10 -movflags +faststart {exact}")
    numbered(folder / "fragments.mp4", frames=12, options=f"-movflags frag_keyframe+empty_moov -g 4 {exact}")
    ffmpeg("-i", plain, *_SOUND, "-c:v", "copy", "-c:a", "aac", *exact.split(), folder / "sound.mp4")
    ffmpeg("-i", plain, "-i", plain, "-map", "0", "-map", "1", "-c", "copy", *exact.split(), folder / "two.mov")
    ffmpeg("-i", plain, "-c:v", "mpeg4", "-q:v", "5", *exact.split(), folder / "mpeg4.mov")
    ffmpeg("-i", plain, "-c:v", "libx265", "-x265-params", "log-level=error:pools=1", "-tag:v", "hvc1", *exact.split(), folder / "hevc.mp4")
    ffmpeg("-i", plain, *_SOUND, "-c:v", "mpeg4", "-c:a", "pcm_s16le", "-ar", "8000", *exact.split(), folder / "sound.avi")
    avi(folder / "pictures.avi", [numbered_jpeg(number) for number in range(12)])
    return sorted(one for one in folder.iterdir() if one.suffix in (".mp4", ".mov", ".avi"))


def shared(media: Path) -> list[Path]:
    """The small ones among the shared files, odd ones with the others."""
    found = [one for name in ("odd", "clips", "hunt") for one in (media / name).iterdir()]
    return sorted(one for one in found if one.suffix in (".mp4", ".mov", ".avi") and 1000 < one.stat().st_size <= SMALL)
