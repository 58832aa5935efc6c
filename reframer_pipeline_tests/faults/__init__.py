"""Faults that really happen, injected for real, and what must hold after each of them.

What belongs here: the invariants, injecting faults, the soak, hostile media and requests. What does not: how one part behaves when another
fails, which stands with the part's other tests; `docs/reliability.md` names both.
"""
