"""Users: who may use the HTTP API, and how much.

What belongs here: people, their keys, scopes and quotas, in Postgres. What does not: HTTP (`api`), what a person uploaded (`uploads`).
"""
