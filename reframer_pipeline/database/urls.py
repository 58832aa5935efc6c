"""URLs of databases: which are refused, and what of them people may see.

What belongs here: reading a URL, as libpq does. What does not: connecting (`postgres`), or which URL is in force (`embedded`). User
name and password are never shown, and no part that may be a piece of them: libpq ends the password at the first `@` and the host at the
first `/`, so of `user:pass@word@host` the host is `word@host`.
"""

from __future__ import annotations

import re
from typing import Final

from reframer_pipeline.failures import SettingsInvalid

UNREADABLE: Final = "unreadable URL"
_SCHEME: Final = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://")
_REMEDY: Final = (
    "Write it as postgresql://user:password@host/database. In the user's name and the password, @ is %40, / is %2F, : is %3A, ? is %3F, "
    "# is %23 and % is %25."
)


def readable(url: str, setting: str) -> str:
    """The same URL, if no part of it can be taken for another.

    Raises:
        SettingsInvalid: It is no Postgres URL, or its host or name holds an `@`.
    """
    if place(url) == UNREADABLE:
        raise SettingsInvalid(f"{setting} is not a Postgres URL, or a character in its password has to be escaped.", _REMEDY)
    return url


def place(url: str) -> str:
    """Host and database for people; no user, no password."""
    parts = _parts(url)
    if any("@" in parts.get(name, "") for name in ("host", "hostaddr", "port", "dbname")):
        return UNREADABLE
    return f"{parts.get('host', 'localhost')}/{parts.get('dbname', '')}" if parts else UNREADABLE


def for_psycopg2(url: str) -> str:
    """The form that SQLAlchemy needs: its version 2.1 would read a bare `postgresql://` as psycopg 3."""
    return _SCHEME.sub("postgresql+psycopg2://", url)


def without_user(text: str, url: str) -> str:
    """A message of the driver or the server, without the URL's user name, where it is quoted, and without its password."""
    parts = _parts(url)
    if user := parts.get("user"):
        text = text.replace(f'"{user}"', '"…"')
    if password := parts.get("password"):
        text = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)", "…", text)
    return text


def _parts(url: str) -> dict[str, str]:
    """What libpq reads, by its names; nothing if it cannot read it."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(_SCHEME.sub("postgresql://", url)).items()}
    except psycopg.Error:  # its text may hold a piece of the password
        return {}
