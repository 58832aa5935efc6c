"""Every shared clip and odd file through the whole pipeline with the demo models, as one batch: how each ends, and how fast.

Quality is not measured here: the demo models know drawn figures only. Skips with a message where the shared media are absent.

    python benchmarks/media_survey.py [--stride 15]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from reframer_pipeline.cli.inputs import Input
from reframer_pipeline.cli.report import Report
from reframer_pipeline.cli.run import process
from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=15, help="every N-th frame is looked at")
    stride = parser.parse_args().stride
    if not MEDIA.is_dir():
        print("The shared media are not here: nothing to survey.")
        return
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), models="demo", vid_stride=stride, device="cpu")
        files = sorted((MEDIA / "clips").iterdir()) + sorted((MEDIA / "odd").iterdir())
        began = time.monotonic()
        outcomes = process(settings, [Input(path, path.name) for path in files], Report(quiet=True))
        spent = time.monotonic() - began
        print("| file | end | frames | sampled | detections | tracks | scenes | s |\n|---|---|---|---|---|---|---|---|")
        for one in outcomes:
            counts = f"{one.frames} | {one.sampled_frames} | {one.detections} | {one.tracks} | {one.scenes}"
            print(f"| {one.filename} | {one.failure_code or one.status} | {counts} | {sum(one.seconds.values()):.1f} |")
        print(f"\n{len(outcomes)} files in {spent:.0f} s, {sum(one.status == 'completed' for one in outcomes)} completed")
        embedded.stop(settings)


if __name__ == "__main__":
    main()
