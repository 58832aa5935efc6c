"""What a browser may do on the page for people (Content-Security-Policy), wherever its files stand.

What belongs here: the headers that go with each file. What does not: serving files (`page`). It needs Python alone, so that
`deploy/static_page.py` can write the same headers for a static host.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "page"


@functools.cache
def headers(api: str = "") -> dict[str, str]:
    """What goes with every file. `api` is the API's origin, if the page stands on another: it may be asked, and no other host.

    An import map cannot be a file: this one is allowed by its digest. The digests in it hold the libraries to what they were.
    """
    (importmap,) = re.findall(r'<script type="importmap">(.*?)</script>', (FOLDER / "index.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(importmap.encode()).digest()).decode()
    said = (FOLDER / "policy.txt").read_text().replace("{importmap}", f"'sha256-{digest}'").replace("{api}", api)
    return {
        "Content-Security-Policy": "; ".join(" ".join(line.split()) for line in said.splitlines()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
