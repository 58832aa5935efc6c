"""Takes files through the first look, the facts and all frames, in a process of its own, and prints which code each ended with.

What belongs here: what a run does with an upload until nothing opens it any more. What does not: whether that is well
(`test_media_attacks`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.media.fence import standing
from reframer_pipeline.media.probe import probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.content import ingest_file_checks

COMPLETED = "completed"


def ended(path: Path, settings: Settings) -> str:
    """The code of the failure, or that there was none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ingest_file_checks(path, settings)
            metadata = probe(path, settings, sha256="0" * 64)
            for _ in sample_frames(path, metadata, settings, Path(folder) / "store"):
                pass
        except ReframerError as failure:
            return failure.code
    return COMPLETED


if __name__ == "__main__":
    here = standing("ffmpeg")
    codes = {name: ended(Path(name), Settings(stall_s=240)) for name in sys.argv[1:]}
    print(json.dumps({"codes": codes, "network": here.network, "files": here.files}))
