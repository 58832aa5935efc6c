"""`make sbom` and `make audit`: what the locked packages are, and which known defects they have.

What belongs here: calling the tools of `.tools/supply`, and saying how it ended. What does not: installing them (`setup.sh`). It runs in
their environment, so it needs Python alone.

Exit status of `audit`: 0 no defect is known, 1 some are, 2 nobody could be asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
SBOM = ROOT / "build" / "reframer_pipeline.cdx.json"
LIMIT_S = 55  # CI waits no longer for somebody else's service
SILENCE_S = 5


def tool(name: str) -> str:
    """A program beside this Python."""
    return str(Path(sys.executable).with_name(name))


def sbom(output: Path) -> int:
    """Write the locked packages as CycloneDX; what does not fit its schema is not written."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [tool("cyclonedx-py"), "requirements", "--pyproject", "pyproject.toml", "--output-reproducible", "--output-format", "JSON"]
    ended = subprocess.run([*command, "--output-file", output.resolve(), LOCK.name], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if ended.returncode:
        print(ended.stderr, file=sys.stderr)
        return 1
    count = len(json.loads(output.read_text())["components"])
    print(f"{count} packages are in {output}.")
    return 0


def audit(lock: Path, options: list[str], limit_s: float = LIMIT_S) -> int:
    """Ask for known defects of each locked package, at osv.dev unless the options name another service."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        command = [
            tool("pip-audit"), "--requirement", str(lock), "--disable-pip", "--no-deps", "--vulnerability-service", "osv",
            "--timeout", str(SILENCE_S), "--progress-spinner", "off", "--format", "json", "--output", str(told), *options,
        ]  # fmt: skip
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            return unasked(f"There was no whole answer after {limit_s:g} s.")
        if not told.exists():
            return unasked((ended.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1])
        packages = json.loads(told.read_text())["dependencies"]
    skipped = [one for one in packages if "skip_reason" in one]
    found = [(one, defect) for one in packages for defect in one.get("vulns", [])]
    for one, defect in found:
        mended = ", ".join(defect["fix_versions"]) or "no version"
        print(f"{one['name']} {one['version']}: {defect['id']}, mended in {mended}")
    print(f"{len(found)} known defects in {len(packages) - len(skipped)} packages; {len(skipped)} could not be judged.")
    return 1 if found else 0


def unasked(reason: str) -> int:
    """Say that nothing is known, which is not the same as that nothing is wrong."""
    print(f"Nobody could be asked for known defects: nothing was checked. {reason}", file=sys.stderr)
    return 2


def main() -> int:
    """By the words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sbom").add_argument("output", nargs="?", type=Path, default=SBOM)
    auditing = commands.add_parser("audit")
    auditing.add_argument("lock", nargs="?", type=Path, default=LOCK)
    auditing.add_argument("--limit-s", type=float, default=LIMIT_S)
    asked, options = parser.parse_known_args()
    return sbom(asked.output) if asked.command == "sbom" else audit(asked.lock, options, asked.limit_s)


if __name__ == "__main__":
    sys.exit(main())
