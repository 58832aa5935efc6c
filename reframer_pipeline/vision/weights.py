"""Where weights lie, and whether they may be loaded.

What belongs here: finding and fetching files, their digests, and who trusted them. What does not: which official files there are
(`releases`), the transfer itself (`download`), building models (`models`).

Detector files are pickles, and loading a pickle may run code: they are loaded only if their digest was published by their
authors or the user said `--trust`. Segmenter files are plain tensors, loaded with torch's `weights_only`: no trust is needed. What was
seen and trusted is recorded in HOME/weights.json (`ledger`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reframer_pipeline import scratch
from reframer_pipeline.failures import SettingsInvalid, WeightsMissing, WeightsUntrusted
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import sha256_of
from reframer_pipeline.vision.download import download
from reframer_pipeline.vision.ledger import WeightsLedger
from reframer_pipeline.vision.releases import RELEASES, Release

Role = Literal["detector", "segmenter"]
ROLES: Final[tuple[Role, ...]] = ("detector", "segmenter")


# Whoever has just tried to fetch them must not be told to.
NOT_TO_BE_FETCHED: Final = (
    "Put the file into that folder, or name a mirror that has it with REFRAMER_WEIGHTS_URL, or check the connection, "
    "or use `--models demo`."
)


@dataclass(frozen=True)
class WeightsFile:
    """A file that is there.

    Attributes:
        role: `detector` or `segmenter`.
        path: Where it lies.
        sha256: Its digest (hex).
        trusted: Whether it may be loaded.
        trusted_by: Who says so: `published digest`, `user`, `no pickle`, `bundled`; empty if nobody does.
    """

    role: Role
    path: Path
    sha256: str
    trusted: bool
    trusted_by: str


def model_name(settings: Settings, role: Role) -> str:
    """The model that the settings name for a role; without `.pt` for the segmenter."""
    return settings.yolo_model if role == "detector" else settings.sam2_model.removesuffix(".pt")


def release_of(settings: Settings, role: Role) -> Release | None:
    """The official file that the settings name, or None where they name a file of the user's own.

    Raises:
        SettingsInvalid: A segmenter that is not among the known ones: its architecture would be a guess.
    """
    release = RELEASES.get(model_name(settings, role))
    if role == "segmenter" and (release is None or not release.config):
        known = ", ".join(name for name, one in RELEASES.items() if one.config)
        raise SettingsInvalid(f"REFRAMER_SAM2_MODEL is {settings.sam2_model!r}.", f"Known models: {known}.")
    return release


def path_of(settings: Settings, role: Role) -> Path:
    """Where the weights lie, or would lie: the bundled file, the weights folder, or the path that the setting is."""
    if settings.models == "demo":
        from reframer_pipeline.vision import demo_models as demo

        return demo.demo_weights_dir() / (demo.DETECTOR_FILE if role == "detector" else demo.SEGMENTER_FILE)
    release = release_of(settings, role)
    if release is not None:
        return settings.weights_folder / release.file
    named = Path(model_name(settings, role)).expanduser()
    return named.resolve() if named.is_absolute() or named.is_file() else settings.weights_folder / named


def resolve(settings: Settings, role: Role) -> WeightsFile:
    """Find a role's weights; the network is not asked.

    The digest is computed once and remembered until the file's size or time changes.

    Raises:
        WeightsMissing: It is not there; the message names file, folder and setting.
        WeightsCorrupt: It differs from what was recorded under its name.
    """
    path = path_of(settings, role)
    if not path.is_file():
        setting = "REFRAMER_YOLO_MODEL" if role == "detector" else "REFRAMER_SAM2_MODEL"
        message = f"The weights file {path.name} ({setting}) is not in {path.parent} (REFRAMER_WEIGHTS_DIR)."
        raise WeightsMissing(message, None if release_of(settings, role) else f"Put the file there, or name it in {setting} with its path.")
    if settings.models == "demo":  # part of the package, which vouches for them and may replace them
        return WeightsFile(role, path, sha256_of(path), True, "bundled")
    release = release_of(settings, role)
    published = release.sha256 if release else None
    entry = WeightsLedger(settings.home_dir).seen(path, lambda digest: digest == published)
    by = entry.get("trusted_by") or ""
    if entry["sha256"] == published:
        by = "published digest"
    elif role == "segmenter":
        by = "no pickle"
    return WeightsFile(role, path, entry["sha256"], bool(by), by)


def fetch(settings: Settings, role: Role, progress: Progress = no_progress, trust: bool = False) -> WeightsFile:
    """Find a role's weights, and download them first if they are missing.

    Args:
        settings: Name the model and the folder; `weights_url` replaces the official address.
        role: Whose weights.
        progress: Called with bytes so far and in all while downloading.
        trust: The user's word that this very file may be loaded; its digest is recorded.

    Raises:
        WeightsMissing: Neither in the folder nor to be had.
        DownloadFailed, DiskFull, MachineTrouble: The download broke off; the next call resumes it.
        HomeNotWritable: The data folder cannot be used.
        WeightsCorrupt: Another digest than the published or the recorded one.
    """
    path = path_of(settings, role)
    ledger = WeightsLedger(settings.home_dir)
    if settings.models == "official" and not path.is_file():
        release = release_of(settings, role)
        if release is None:
            return resolve(settings, role)  # a file of the user's own: raises what there is to say
        address = (settings.weights_url.rstrip("/") + "/" if settings.weights_url else release.base) + release.file
        scratch.made(settings.home_dir)  # closed to others, which the folder for weights need not be
        try:
            digest = download(address, path, release.sha256, progress)
        except WeightsMissing as error:
            message = f"The weights file {path.name} is not in {path.parent} (REFRAMER_WEIGHTS_DIR), and {error.message}"
            raise WeightsMissing(message, NOT_TO_BE_FETCHED) from error
        ledger.note(path, sha256=digest, source=address, replace=trust)
    if trust:
        ledger.note(path, sha256=sha256_of(path), trusted_by="user", replace=True)
    return resolve(settings, role)


def require_trusted(file: WeightsFile) -> None:
    """Refuse a pickle that nobody vouches for.

    Raises:
        WeightsUntrusted: With the digest, so that the user can compare it before saying `--trust`.
    """
    if not file.trusted:
        what = f"{file.path.name} is a pickle, which may run code when loaded"
        raise WeightsUntrusted(f"{what}, and its digest sha256:{file.sha256} is not the published one.")


def digest(settings: Settings, role: Role) -> str:
    """Digest of a role's weights, as stage keys want it: `"sha256:…"`, or `"demo:…"` for the bundled models.

    Raises:
        WeightsMissing: The file is not there.
    """
    return f"{'demo' if settings.models == 'demo' else 'sha256'}:{resolve(settings, role).sha256}"


def digests(settings: Settings) -> dict[str, str]:
    """`digest` by role."""
    return {role: digest(settings, role) for role in ROLES}
