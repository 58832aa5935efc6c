"""How large the house is, and how many of its modules a video passes on its way: code lines, and modules executed.

    python benchmarks/house.py [--python OTHER/.venv/bin/python]

A code line is a line that is not blank, comment or docstring. A module counts as executed if one of its functions ran while a drawn clip of
one second was taken in from a bucket and computed, in one process; running its top level does not count. Another checkout's Python measures
that checkout.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

from reframer_pipeline.demo.world import make_clip, write_clip

SEED = 3_900_001
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
WAY = """
import inspect, sys, threading
from pathlib import Path

seen = set()

def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and "/reframer_pipeline/" in code.co_filename:  # no module, no class body
        seen.add(code.co_filename)

try:
    from reframer_pipeline.running.run_videos import run_videos
except ImportError:
    from reframer_pipeline.run_videos import run_videos
try:
    from reframer_pipeline.results.storage import storage_of
except ImportError:
    from reframer_pipeline.resources import Pipeline
    storage_of = lambda settings: Pipeline(settings).storage
import reframer_pipeline.definitions  # what runs while it is imported is no video's way
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.listing import list_bucket
try:
    from reframer_pipeline.uploads.ingest import take_in
except ImportError:
    from reframer_pipeline.uploads.taking_in import take_in

settings = Settings()
storage = storage_of(settings)
storage.db
threading.setprofile(note)
sys.setprofile(note)
bucket = Bucket.open(settings)
(entry,) = list_bucket(bucket, 5.0)
taken = take_in(bucket, entry.key, entry.etag, storage.db, storage.store, settings)
(outcome,) = run_videos(settings, [taken.video_id])
sys.setprofile(None)
assert outcome.status == "completed", outcome.failure_message
print(len(seen))
"""


def code_lines(folder: Path) -> int:
    """Lines of code below a folder."""
    return sum(_lines_of(path) for path in folder.rglob("*.py"))


def _lines_of(path: Path) -> int:
    prose: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            prose.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines: set[int] = set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in NO_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - prose)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="of the checkout to be measured")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home" / "uploads").mkdir(parents=True)
        write_clip(make_clip(SEED, n_frames=25, shots=1), folder / "home" / "uploads" / "clip.mp4")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REFRAMER_", "DAGSTER_", "GEMINI_"))}
        environment = {**kept, "REFRAMER_HOME": str(folder / "home"), "REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu"}

        def run(*arguments: str) -> str:
            return subprocess.run([python, *arguments], env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout

        try:
            package = Path(run("-c", "import reframer_pipeline; print(reframer_pipeline.__file__)").strip()).parent
            print(f"{'code lines':26}{code_lines(package):>8}")
            print(f"{'modules':26}{len(list(package.rglob('*.py'))):>8}")
            print(f"{'modules a video passes':26}{run('-c', WAY).split()[-1]:>8}")
        finally:
            run("-m", "reframer_pipeline", "db", "stop")


if __name__ == "__main__":
    main()
