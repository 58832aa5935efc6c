"""How long one video's way is: SQL statements, connections and seconds of `reframer run` for a drawn clip of one second.

    python benchmarks/way.py [--tree OTHER_CHECKOUT] [--show 20]

Two clips go through all six stages, one after the other, in a data folder of their own: the first also makes the databases' tables. Each is
a process of its own, so seconds are cold; those of the processor are the command's alone. Statements and connections are counted from the
embedded server's log, and only the command line is used, so that an older checkout can be measured in the same way.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline_tests.descendants import used

SEED = 3_900_001
DATABASES = {"ours": "reframer", "Dagster's": "dagster"}
LOGGING = {"log_statement": "all", "log_connections": "on", "log_line_prefix": "[%d] ", "log_duration": "off"}
STATEMENT = re.compile(r"^\[(\w+)\] LOG:  (?:statement|execute [^:]+): (.*)$", re.MULTILINE)
CONNECTION = re.compile(r"LOG:  connection authorized: \S+ database=(\w+)")


class Home:
    """A data folder of its own, whose server writes down all that it is asked."""

    def __init__(self, folder: Path, tree: Path) -> None:
        self._tree = tree
        self._log = folder / "postgres" / "server.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REFRAMER_", "DAGSTER_", "GEMINI_"))}
        self._environment = {**kept, "REFRAMER_HOME": str(folder), "REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu"}
        self.reframer("list")  # starts the server
        socket = (folder / "postgres" / "postmaster.pid").read_text().splitlines()[4]
        with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as conn:
            for name, value in LOGGING.items():
                conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            conn.execute("SELECT pg_reload_conf()")
        time.sleep(1)  # for the server to have read it

    def reframer(self, *arguments: str) -> None:
        """One command, in a process of its own."""
        command = [sys.executable, "-m", "reframer_pipeline", *arguments]  # of the folder that it runs in
        subprocess.run(command, cwd=self._tree, env=self._environment, check=True, capture_output=True)

    def measured(self, clip: Path, show: int) -> dict[str, float]:
        """What a run of this clip takes."""
        before, began, processor = self._log.stat().st_size, time.perf_counter(), _processor()
        self.reframer("run", str(clip))
        counted = {"seconds": round(time.perf_counter() - began, 1), "seconds of the processor": round(_processor() - processor, 1)}
        with self._log.open(errors="replace") as log:
            log.seek(before)
            text = log.read()
        statements, connections = STATEMENT.findall(text), CONNECTION.findall(text)
        for (database, statement), count in collections.Counter(statements).most_common(show):
            print(f"  {count:4} {database:8} {statement[:140]}")
        for whose, name in DATABASES.items():
            counted[f"statements, {whose}"] = sum(database == name for database, _ in statements)
            counted[f"connections, {whose}"] = connections.count(name)
        return counted


def _processor() -> float:
    spent = used()
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """Measure both clips, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="the checkout to be measured")
    parser.add_argument("--show", type=int, default=0, help="so many of the statements asked most often")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = Home(folder / "home", arguments.tree)
        try:
            columns = []
            for number in range(2):
                clip = folder / f"{number}.mp4"
                write_clip(make_clip(SEED + number, n_frames=25, shots=1), clip)
                columns.append(home.measured(clip, arguments.show))
        finally:
            home.reframer("db", "stop")
    print(f"{'':26}{'first clip':>12}{'second clip':>12}")
    for what in columns[0]:
        print(f"{what:26}{columns[0][what]:>12}{columns[1][what]:>12}")


if __name__ == "__main__":
    main()
