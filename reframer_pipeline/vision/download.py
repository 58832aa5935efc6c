"""Fetching one large file over HTTP so that an interruption costs nothing and a half file is never taken for a whole one.

What belongs here: `.part` and rename, resume, bounded retries, the checksum of what arrived. What does not: which files there
are and who trusts them (`weights`).
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from reframer_pipeline.failures import DownloadFailed, WeightsCorrupt, WeightsMissing
from reframer_pipeline.failures.typing import of_machine
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.versions import sha256_of

TIMEOUT_S = 30.0  # of one connect or read, not of the whole
FRUITLESS_TRIES = 3  # in a row, without a new byte
MAX_TRIES = 50
CHUNK = 1 << 20
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def download(url: str, target: Path, sha256: str | None = None, progress: Progress = no_progress, pause_s: float = 0.5) -> str:
    """Fetch `url` to `target`.

    What arrives is kept in `target.part` and resumed, now or by the next call, if the server can and its file is still the same
    (`If-Range` with the ETag); the finished file appears under its name at once. Two processes do not disturb each other.

    Args:
        url: http or https.
        target: File to make; its folder is created.
        sha256: Expected digest (hex), if known.
        progress: Called with bytes so far and in all (0 if the server does not say).
        pause_s: First pause before a new try; doubled each time nothing arrived.

    Returns:
        SHA-256 (hex) of the file.

    Raises:
        WeightsMissing: The server does not have it, or cannot be reached at all.
        DownloadFailed, DiskFull, MachineTrouble: It broke off too often, or cannot be written; what arrived is kept.
        WeightsCorrupt: It arrived with another digest than `sha256`, and was deleted.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
            if target.exists() and not _is_still(part, file):  # another process finished it while we waited
                return sha256_of(target)
            file.seek(0, os.SEEK_END)
            _fetch(url, file, part, progress, pause_s)
            os.fsync(file.fileno())
            digest = sha256_of(part)
            if sha256 is not None and digest != sha256:
                part.unlink()
                raise WeightsCorrupt(f"{target.name} arrived with digest sha256:{digest}, not sha256:{sha256}.", "Fetch it again.")
            part.replace(target)
    except OSError as error:
        what, remedy = f"{target} cannot be written", "Check REFRAMER_WEIGHTS_DIR and its permissions."
        raise of_machine(error, what) or DownloadFailed(f"{what}: {error.strerror}.", remedy) from error
    _etag_file(part).unlink(missing_ok=True)
    return digest


def _fetch(url: str, file: BinaryIO, part: Path, progress: Progress, pause_s: float) -> None:
    """Try until the part is whole."""
    fruitless = 0
    for _ in range(MAX_TRIES):
        before = file.tell()
        try:
            if _try_once(url, file, part, progress):
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is longer than the file: it cannot be a beginning of it
                _restart(file)
            elif error.code < 500 and error.code not in (408, 429):
                raise WeightsMissing(f"{url} answers {error.code} ({error.reason}).") from error
            reason = f"the server answers {error.code}"
        except _BROKEN as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 0 if file.tell() > before else fruitless + 1
        if fruitless >= FRUITLESS_TRIES:
            break
        time.sleep(pause_s * 2 ** max(0, fruitless - 1))
    if file.tell() == 0:
        raise WeightsMissing(f"{url} cannot be reached: {reason}.")
    raise DownloadFailed(f"{url} broke off after {file.tell()} bytes: {reason}.")


def _try_once(url: str, file: BinaryIO, part: Path, progress: Progress) -> bool:
    """One request from where the part ends; whether it came to the end."""
    have, etag = file.tell(), _read_etag(part)
    headers = {"User-Agent": "reframer", "Accept-Encoding": "identity"}
    if have and etag:
        headers |= {"Range": f"bytes={have}-", "If-Range": etag}
    else:
        have = _restart(file)
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
        if have and (answer.status != 206 or not str(answer.headers["Content-Range"]).startswith(f"bytes {have}-")):
            have = _restart(file)  # no ranges here, or the file has changed: this is the whole of it
        _etag_file(part).write_text(answer.headers["ETag"] or "")
        length = answer.headers["Content-Length"]
        total = have + int(length) if length else 0
        if total and shutil.disk_usage(part.parent).free < total - have:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        while chunk := answer.read1(CHUNK):
            file.write(chunk)
            file.flush()
            progress(file.tell(), total)
        return not total or file.tell() == total


def _is_still(part: Path, file: BinaryIO) -> bool:
    """Whether the open file still bears the part's name."""
    try:
        return os.path.samestat(part.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _restart(file: BinaryIO) -> int:
    file.seek(0)
    file.truncate()
    return 0


def _etag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _read_etag(part: Path) -> str:
    """The strong validator of what the part holds, or nothing: weak ones must not be used with `If-Range`."""
    try:
        etag = _etag_file(part).read_text().strip()
    except OSError:
        return ""
    return "" if etag.startswith("W/") else etag
