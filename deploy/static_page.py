#!/usr/bin/env python3
"""The page for a static host: its files, the API's address in `config.json`, and the headers that hold a browser to it in `_headers`.

    PAGE_API=https://reframer.example.org python3 deploy/static_page.py FOLDER

It needs nothing but Python. Netlify and Cloudflare Pages read `_headers`; for another host, give these headers with every file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reframer_pipeline.api.policy import FOLDER, headers


def main(target: Path, api: str) -> None:
    """Write the folder anew."""
    parts = urlsplit(api)
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.path.strip("/") or parts.query:
        sys.exit("PAGE_API must be the API's address, such as https://reframer.example.org")
    origin = f"{parts.scheme}://{parts.netloc}"
    shutil.copytree(FOLDER, target, ignore=shutil.ignore_patterns("*.d.ts", "tsconfig.json", "policy.txt"), dirs_exist_ok=True)
    (target / "config.json").write_text(json.dumps({"api": origin}) + "\n")
    sent = {**headers(origin), "Cache-Control": "no-cache"}
    (target / "_headers").write_text("/*\n" + "".join(f"  {name}: {value}\n" for name, value in sent.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("PAGE_API", ""))
