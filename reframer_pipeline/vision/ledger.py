"""What is known of weights files: HOME/weights.json.

What belongs here: by path, a file's digest, size and time, where it came from, and who trusted it. What does not: deciding on trust
(`weights`). The file lies in the user's own data folder and not beside the weights, so that a folder of weights from elsewhere
cannot vouch for itself.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reframer_pipeline import scratch
from reframer_pipeline.failures import WeightsCorrupt
from reframer_pipeline.versions import sha256_of


class WeightsLedger:
    """The ledger of one data folder; read afresh on each question, replaced whole on each note."""

    def __init__(self, home: Path) -> None:
        self._file = home / "weights.json"

    def seen(self, path: Path, may_replace: Callable[[str], bool]) -> dict[str, Any]:
        """The entry of a file, made now if the file is new.

        Args:
            path: The file; its digest is computed only if size or time differ from the entry.
            may_replace: Whether a new digest is fine although another was recorded.

        Raises:
            WeightsCorrupt: Another digest is recorded for this path.
        """
        entry, stat = self._read().get(str(path), {}), path.stat()
        if (entry.get("size"), entry.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
            return entry
        digest = sha256_of(path)
        return self.note(path, digest, may_replace(digest))

    def note(self, path: Path, sha256: str, replace: bool = False, **facts: str) -> dict[str, Any]:
        """Record a digest and facts about it; a new digest forgets the old one's facts.

        Raises:
            WeightsCorrupt: Another digest is recorded for this path, and `replace` is false.
        """
        entries, stat = self._read(), path.stat()
        old = entries.get(str(path), {})
        if old and old["sha256"] != sha256 and not replace:
            raise WeightsCorrupt(
                f"{path} has digest sha256:{sha256}, but sha256:{old['sha256']} was recorded.",
                "Delete the file and run `reframer models fetch` again; if it was replaced on purpose, `reframer models fetch --trust`.",
            )
        recorded = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        kept = old if old.get("sha256") == sha256 else {"recorded": recorded}
        entries[str(path)] = {**kept, "sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, **facts}
        self._write(entries)
        return entries[str(path)]

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        scratch.make(self._file.parent)
        with scratch.appearing(self._file) as part:
            part.write_text(json.dumps(entries, indent=2, sort_keys=True))
