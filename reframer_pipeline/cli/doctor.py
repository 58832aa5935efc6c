"""`reframer doctor`: is everything there, and what mends what is not."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, Final, NamedTuple

import click

from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, PLACES, make_settings, setting_options
from reframer_pipeline.cli.settings_report import print_settings
from reframer_pipeline.cli.tables import OUT, cell
from reframer_pipeline.failures import MediaToolMissing, ReframerError
from reframer_pipeline.settings import Settings

FFMPEG_SINCE = (5, 1)  # -fps_mode
PACKAGES = ("dagster", "dagster-postgres", "torch", "ultralytics", "sam2", "trackers", "supervision", "google-genai", "pyarrow", "psycopg")
_AGAIN = "install it again (in a checkout: `make setup`)"


class Finding(NamedTuple):
    """One line of the report. `mend` says what to do; it is empty when all is well."""

    what: str
    well: bool
    detail: str
    mend: str = ""


@click.command(cls=SectionedCommand)
@click.option("--settings", "list_settings", is_flag=True, help="Show every setting instead. Secrets are hidden.")
@click.option("--worker", "only_worker", is_flag=True, help="Only whether a worker of this machine is ready: quick, for probes.")
@setting_options(*COMPUTING, common=PLACES)
def doctor(chosen: dict[str, Any], list_settings: bool, only_worker: bool) -> None:
    """Check that everything is there, and say how to mend it.

    Tools, packages, device, models, database and object store. Exit status 1 if something must be mended.

    \b
    reframer doctor
    reframer doctor --settings   every setting with its value
    reframer doctor --worker     is the worker of this machine ready?
    """
    if list_settings:
        sys.exit(0 if print_settings(chosen) else 1)
    settings = make_settings(chosen)
    sick = False
    for check in (_worker_here,) if only_worker else CHECKS:
        for found in _guarded(check, settings):
            sick = sick or not found.well
            mark = "[green]ok  [/green]" if found.well else "[red]mend[/red]"
            OUT.print(f"{mark} {found.what:<22} {cell(found.detail)}", soft_wrap=True)
            if found.mend:
                OUT.print(f"     [yellow]→[/yellow] {cell(found.mend)}", soft_wrap=True)
    sys.exit(1 if sick else 0)


def _guarded(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except ReframerError as failure:
        yield Finding(check.__name__.strip("_"), False, failure.message, failure.remedy)


def _ffmpeg(settings: Settings) -> Iterator[Finding]:
    for tool in ("ffmpeg", "ffprobe"):
        path = shutil.which(tool)
        if path is None:
            yield Finding(tool, False, "not found", MediaToolMissing.default_remedy)
            continue
        try:
            first = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=True).stdout.partition("\n")[0]
        except (OSError, subprocess.SubprocessError) as error:
            yield Finding(tool, False, f"{path} does not run: {error}"[:200], "install FFmpeg anew")
            continue
        numbered = re.search(r"version n?(\d+)\.(\d+)", first)  # a build from a later commit has no such number
        old = numbered is not None and tuple(map(int, numbered.groups())) < FFMPEG_SINCE
        yield Finding(tool, not old, f"{path}, {first.partition(' Copyright')[0]}", MediaToolMissing.default_remedy if old else "")


def _fence(settings: Settings) -> Iterator[Finding]:
    """Media is opened under limits only, and behind what else the system allows (`media.fence`)."""
    from reframer_pipeline.media.fence import Standing, standing

    path = shutil.which("prlimit")
    missing = path is None and sys.platform == "linux"
    yield Finding("prlimit", not missing, path or "not found", "apt-get install util-linux" if missing else "")
    tools = [standing(tool) for tool in ("ffmpeg", "ffprobe") if shutil.which(tool)]
    if not tools or missing:
        return
    here = Standing(*(all(getattr(tool, name) for tool in tools) for name in ("limits", "network", "files")))
    shut = [("limits", here.limits), ("no network", here.network), ("no files but its own", here.files)]
    left = [("network", here.network), ("all files that this user may read, and other processes", here.files)]
    stands = ", ".join(name for name, closed in shut if closed) or "none"
    opened = "; ".join([name for name, closed in left if not closed] + ["system calls are not filtered"])
    yield Finding("fence around media", True, f"{stands}. Open: {opened}", "" if here.files else _way_to_a_sandbox())


def _way_to_a_sandbox() -> str:
    if shutil.which("bwrap") is None:
        return "apt-get install bubblewrap" if sys.platform == "linux" else ""
    return "bubblewrap is installed, but this system or container forbids it: docs/limits.md says what it needs"


def _packages(settings: Settings) -> Iterator[Finding]:
    missing = []
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", not missing, ", ".join(versions), f"missing: {', '.join(missing)}; {_AGAIN}" if missing else "")


def _one_environment(settings: Settings) -> Iterator[Finding]:
    """sam2's Hydra and dagster's selection parser want different antlr versions: both must work in this environment."""
    from reframer_pipeline.vision.sam2_build import import_sam2

    try:
        import_sam2()
        import dagster as dg

        dg.AssetSelection.from_string('key:"detections"')
    except Exception as error:  # any kind of import trouble is the finding
        yield Finding("sam2 beside dagster", False, str(error)[:200], _AGAIN)
    else:
        yield Finding("sam2 beside dagster", True, "both import and work")


def _device(settings: Settings) -> Iterator[Finding]:
    from reframer_pipeline.vision.compiled import engine_of
    from reframer_pipeline.vision.device import describe_device, resolve_device

    device = resolve_device(settings.device)
    slow = device == "cpu" and settings.models == "official"
    engine = f", OpenVINO in {settings.precision}" if engine_of(settings, device, "") else ""
    yield Finding(
        "device",
        True,
        describe_device(device) + engine,
        "official models take seconds a frame on a CPU; --models demo is quick" if slow else "",
    )


def _weights(settings: Settings) -> Iterator[Finding]:
    from reframer_pipeline.vision import weights

    for role in weights.ROLES:
        weights.require_trusted(weights.resolve(settings, role))
    digests = weights.digests(settings)
    yield Finding("weights", True, f"{settings.models}: " + ", ".join(f"{role} {digest[:19]}…" for role, digest in digests.items()))


def _database(settings: Settings) -> Iterator[Finding]:
    from reframer_pipeline.database.migrations import migrate
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.database.size import database_size

    with Database.open(settings) as database:
        (row,) = database.fetch("SELECT current_setting('server_version') AS version")
        applied = migrate(database)  # as every command does
        size = database_size(database, settings)
    kind = "your server" if settings.database_url else "embedded"
    made = f", {len(applied)} migrations applied now" if applied else ""
    yield Finding("database", True, f"PostgreSQL {row['version']}, {kind}, {size}{made}")
    if size.nearly_full:
        yield Finding("database size", False, str(size), "archive old videos: REFRAMER_ARCHIVE_AFTER_DAYS, or raise the plan's limit")


def _store(settings: Settings) -> Iterator[Finding]:
    from reframer_pipeline.results.storage import open_storage

    with open_storage(settings):
        yield Finding("object store", True, settings.objects_url)


def _workers(settings: Settings) -> Iterator[Finding]:
    """The fleet, if this deployment has one."""
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.running.fleet_places import demand_broker
    from reframer_pipeline.work import workers

    with Database.open(settings) as database:
        living = workers.living(database)
    for row in living:
        at = f", at {row['filename'] or 'run ' + row['run_id']}" if row["run_id"] else ""
        detail = f"{row['state']}{at}, {row['queue']} on {row['device']}, {row['runs']} done, {row['memory_bytes'] / 1e9:.1f} GB"
        yield Finding(f"worker {row['name']}", True, detail)
    if settings.launcher != "celery":
        return  # those of `reframer dev --workers`, whose broker is known to that alone
    from reframer_pipeline.orchestration.fleet.app import QUEUES
    from reframer_pipeline.orchestration.fleet.waiting import waiting

    url, at_once = demand_broker(settings), settings.max_concurrent_runs
    for queue in QUEUES if settings.executor == "celery" else QUEUES[:1]:
        there, waits, what = sum(row["queue"] == queue for row in living), waiting(url, queue), "run" if queue == "runs" else "stage"
        yield Finding(f"queue {queue}", True, f"{waits} {what + ' waits' if waits == 1 else what + 's wait'} for a worker")
        if not there:
            remedy = "start one on each machine: reframer worker" + (f" --queue {queue}" if queue != "runs" else "")
            yield Finding(f"workers of {queue}", False, f"none lives, so no {what} goes on", remedy)
        if at_once < there:  # each video is at one stage
            idle = f"{there} workers, but only {at_once} videos are computed at once"
            yield Finding(f"workers of {queue}", False, idle, f"set REFRAMER_MAX_CONCURRENT_RUNS={there} for `reframer dev`")


def _describer(settings: Settings) -> Iterator[Finding]:
    if settings.resolved_describer == "local":
        yield Finding("scene descriptions", True, "local" + ("" if settings.gemini_api_key else " (GEMINI_API_KEY is not set)"))
        return
    where = settings.gemini_url or "Google"
    yield Finding("scene descriptions", True, f"{settings.gemini_model} at {where}, what is sent: {settings.gemini_media}; not asked now")


def _worker_here(settings: Settings) -> Iterator[Finding]:
    """A worker of this machine. Loads nothing: it is asked again and again."""
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.work import workers

    here = f"{socket.gethostname()}:"
    with Database.open(settings) as database:
        states = [row["state"] for row in workers.living(database) if row["name"].startswith(here)]
    well = any(state != "starting" for state in states)
    yield Finding("worker", well, ", ".join(states) or "none lives here", "" if well else "wait for it, or start one: reframer worker")


CHECKS: Final = (_ffmpeg, _fence, _packages, _one_environment, _device, _weights, _database, _store, _workers, _describer)
