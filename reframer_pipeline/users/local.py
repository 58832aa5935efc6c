"""The person at this machine: a user without a key, for as long as nobody else has one.

What belongs here: who that is, whether they may come in, and the token they come in with. What does not: the address it stands in (`api`).
What the command line uploads is theirs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.users import keys, people
from reframer_pipeline.users.people import LOCAL_USER

TOKEN_LASTS: Final = timedelta(days=1)


def token(db: Database) -> str | None:
    """A token that lets the local person in once; None if somebody else has a key: then everybody comes with one.

    Tokens that were made before are good no more. This one is good as long as nobody else gets a key.
    """
    user_id = people.add(db, LOCAL_USER)
    if not keys.alone(db, user_id):
        return None
    db.execute("DELETE FROM api_keys WHERE user_id = %s AND kind = 'login'", (user_id,))
    return keys.add(db, user_id, "one login", keys.SCOPES, TOKEN_LASTS, "login")
