"""What tests of the Gemini client share: the stand-in, and a client that is made quickly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from reframer_pipeline.fake_gemini import FakeGemini


@pytest.fixture
def gemini(one_authority: None) -> Iterator[FakeGemini]:
    """A stand-in of the test's own."""
    with FakeGemini() as server:
        yield server


@pytest.fixture
def one_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One certificate authority in place of 140: each client reads them all three times, and the stand-in has no TLS."""
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text().split(end)[0] + end
    path = tmp_path / "one_authority.pem"
    path.write_text(first)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
