"""Keys on each kind of server: shown once, found by their beginning, and good until they end."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from reframer_pipeline.failures import UnknownKey, UnknownUser
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import keys, local, people

DAY = timedelta(days=1)


@pytest.fixture
def user(storage: Storage) -> str:
    return people.add(storage.db, "one@example.org")


def test_a_key_lets_its_user_in_and_only_its_digest_is_kept(anywhere: Storage) -> None:
    user = people.add(anywhere.db, "one@example.org")
    secret = keys.add(anywhere.db, user, "camera", ["write"])
    assert secret.startswith("vr_") and len(secret) == 3 + 43  # 256 bits in base64
    found = keys.holder(anywhere.db, secret, "key")
    assert found is not None and (found.user_id, found.email, found.scopes) == (user, "one@example.org", {"write"})
    (row,) = anywhere.db.fetch("SELECT * FROM api_keys")
    assert bytes(row["hash"]) == hashlib.sha256(secret.encode()).digest()
    assert secret not in str(row) and row["prefix"] == secret[:11]


@pytest.mark.parametrize("wrong", ["", "vr_", "vr_\0", "vr_" + "x" * 43, "x" * 100_000, "vr_\udcff"])
def test_what_is_no_key_lets_nobody_in(wrong: str, storage: Storage, user: str) -> None:
    secret = keys.add(storage.db, user, "key", ["read"])
    for said in (wrong, secret[:11] + wrong, secret[:-1] + ("A" if secret[-1] != "A" else "B"), secret + "A"):
        assert keys.holder(storage.db, said, "key") is None


def test_one_kind_is_not_another(storage: Storage, user: str) -> None:
    for kind in ("key", "session", "login"):
        secret = keys.add(storage.db, user, "one", ["read"], kind=kind)
        assert [other for other in ("key", "session") if keys.holder(storage.db, secret, other)] == [kind][: kind != "login"]


def test_comparing_takes_the_same_work_where_there_is_no_such_key(storage: Storage, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", noting)
    secret = keys.add(storage.db, user, "key", ["read"])
    for said in (secret, secret[:11] + "x" * 35, "vr_" + "x" * 43):
        keys.holder(storage.db, said, "key")
    assert compared == [(32, 32)] * 3


def test_the_database_is_asked_the_same_for_every_wrong_key(storage: Storage, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it is right. A wrong token is no exception; a good key may be noted as used, which only its holder can see."""
    secret, token = keys.add(storage.db, user, "key", ["read"]), keys.add(storage.db, user, "login", ["read"], kind="login")
    said: list[str] = []
    execute = psycopg.Connection.execute

    def noting(conn: psycopg.Connection[Any], query: Any, *args: Any, **more: Any) -> Any:
        said.append(str(query))
        return execute(conn, query, *args, **more)

    def asked(act: Callable[[], object]) -> list[str]:
        said.clear()
        assert act() is None
        return list(said)

    monkeypatch.setattr(psycopg.Connection, "execute", noting)
    wrong = [secret[:11] + "x" * 35, secret[:-1] + ("A" if secret[-1] != "A" else "B"), "vr_" + "x" * 43, "x", token]
    looks = [asked(lambda one=one: keys.holder(storage.db, one, "key")) for one in wrong]  # type: ignore[misc]
    assert looks[0] and all(one == looks[0] for one in looks)
    tokens = [token[:-1] + ("A" if token[-1] != "A" else "B"), "vr_" + "x" * 43, secret]
    exchanged = [asked(lambda one=one: keys.exchange(storage.db, one, "browser", DAY)) for one in tokens]  # type: ignore[misc]
    assert exchanged[0] and all(one == exchanged[0] for one in exchanged)


def test_a_key_is_found_by_an_index(storage: Storage, user: str) -> None:
    storage.db.execute(
        """INSERT INTO api_keys (user_id, kind, name, scopes, prefix, hash)
           SELECT %s, 'key', 'k', '{read}', 'vr_' || md5(n::text), sha256(n::text::bytea) FROM generate_series(1, 20000) n""", (user,)
    )  # fmt: skip
    storage.db.run(lambda conn: conn.execute("ANALYZE api_keys"))
    (plan,) = storage.db.fetch("EXPLAIN (FORMAT JSON) SELECT 1 FROM api_keys WHERE prefix = 'vr_12345678' AND kind = 'key'")
    assert "idx_api_keys_prefix" in str(plan)


def test_a_key_ends(storage: Storage, user: str) -> None:
    def good(secret: str) -> bool:
        return keys.holder(storage.db, secret, "key") is not None

    revoked, over, lasting = (keys.add(storage.db, user, name, ["read"], lasts) for name, lasts in
                              (("a", None), ("b", timedelta(seconds=-1)), ("c", DAY)))  # fmt: skip
    assert (good(revoked), good(over), good(lasting)) == (True, False, True)
    keys.revoke(storage.db, keys.named(storage.db, revoked[:11])["key_id"])
    assert (good(revoked), good(lasting)) == (False, True)
    assert [row["name"] for row in keys.list_(storage.db)] == ["c"]
    assert {row["name"] for row in keys.list_(storage.db, "one@example.org", ended=True)} == {"a", "b", "c"}
    people.remove(storage.db, "one@example.org")
    assert not good(lasting)
    people.add(storage.db, "one@example.org")
    assert not good(lasting)  # who comes back needs a new one


def test_a_session_that_nobody_uses_ends(storage: Storage, user: str) -> None:
    used, unused, fresh = (keys.add(storage.db, user, name, ["read"], 30 * DAY, "session") for name in ("used", "unused", "fresh"))
    program = keys.add(storage.db, user, "program", ["read"])
    storage.db.execute("UPDATE api_keys SET created_at = now() - %s WHERE name <> 'fresh'", (keys.IDLE + 2 * DAY,))
    storage.db.execute("UPDATE api_keys SET last_used_at = now() - %s WHERE name = 'used'", (keys.IDLE - DAY,))
    good = [keys.holder(storage.db, secret, "session") is not None for secret in (used, unused, fresh)]
    assert good == [True, False, True]
    assert keys.holder(storage.db, program, "key") is not None  # a program may rest
    assert {row["name"] for row in keys.list_(storage.db)} == {"used", "fresh", "program"}


def test_rotation_overlaps(storage: Storage, user: str) -> None:
    old = keys.add(storage.db, user, "camera", ["write"], 30 * DAY)
    row = keys.named(storage.db, old[:11])
    new = keys.rotate(storage.db, row["key_id"], DAY)
    assert keys.holder(storage.db, old, "key") and keys.holder(storage.db, new, "key")
    renewed, ending = keys.named(storage.db, new[:11]), keys.named(storage.db, old[:11])
    assert (renewed["name"], renewed["scopes"]) == ("camera", ["write"])
    assert renewed["expires_at"] - renewed["created_at"] == 30 * DAY
    assert timedelta(0) < ending["expires_at"] - renewed["created_at"] <= DAY
    assert keys.rotate(storage.db, row["key_id"], 365 * DAY) and keys.named(storage.db, old[:11])["expires_at"] == ending["expires_at"]
    keys.rotate(storage.db, row["key_id"], timedelta(0))
    assert keys.holder(storage.db, old, "key") is None
    with pytest.raises(UnknownKey):
        keys.rotate(storage.db, row["key_id"], DAY)


def test_the_last_use_is_written_once_a_minute(storage: Storage, user: str) -> None:
    secret = keys.add(storage.db, user, "key", ["read"])

    def used() -> Any:
        keys.holder(storage.db, secret, "key")
        return storage.db.fetch("SELECT last_used_at FROM api_keys")[0]["last_used_at"]

    first = used()
    assert first is not None and used() == first
    storage.db.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    assert used() > first


def test_a_key_is_named_by_its_beginning_if_that_is_one_key_s(storage: Storage, user: str) -> None:
    one = keys.add(storage.db, user, "one", ["read"])
    keys.add(storage.db, user, "two", ["read"])
    assert keys.named(storage.db, one)["name"] == keys.named(storage.db, one[:11])["name"] == "one"
    for wrong in ("", "vr_", "vr_nothing", "\0"):
        with pytest.raises(UnknownKey):
            keys.named(storage.db, wrong)


def test_a_token_is_good_once_and_for_the_local_user_while_nobody_else_has_a_key(storage: Storage) -> None:
    db = storage.db
    earlier, token = local.token(db), local.token(db)
    assert earlier is not None and token is not None
    assert keys.exchange(db, earlier, "browser", DAY) is None  # the newest counts
    session = keys.exchange(db, token, "browser", DAY)
    assert session is not None and keys.exchange(db, token, "browser", DAY) is None
    found = keys.holder(db, session, "session")
    assert found is not None and found.email == "local@localhost" and found.scopes == {"read", "write", "admin"}
    keys.add(db, people.named(db, "local@localhost"), "curl", ["read"])
    token = local.token(db)
    assert token is not None
    keys.add(db, people.add(db, "one@example.org"), "key", ["read"])
    assert keys.exchange(db, token, "browser", DAY) is None  # it was made before
    assert local.token(db) is None and people.with_keys(db) == ["local@localhost", "one@example.org"]


def test_a_session_ends_with_the_key_that_began_it(storage: Storage, user: str) -> None:
    secret = keys.add(storage.db, user, "key", ["read"])
    begun = keys.holder(storage.db, secret, "key")
    assert begun is not None
    session = keys.add(storage.db, user, "browser", ["read"], DAY, "session", made_by=begun.key_id)
    assert keys.holder(storage.db, session, "session") == begun  # quotas count them as one
    keys.revoke(storage.db, begun.key_id)
    assert keys.holder(storage.db, session, "session") is None


def test_users_are_listed_with_what_they_have(storage: Storage) -> None:
    for email in ("b@example.org", "a@example.org", "b@example.org"):
        user = people.add(storage.db, email)
    keys.add(storage.db, user, "key", ["read"])
    keys.add(storage.db, user, "browser", ["read"], DAY, "session")
    people.remove(storage.db, "a@example.org")
    listed = [(row["email"], row["keys"], row["disabled_at"] is None) for row in people.list_(storage.db)]
    assert listed == [("a@example.org", 0, False), ("b@example.org", 1, True)]
    with pytest.raises(UnknownUser):
        people.named(storage.db, "a@example.org")
