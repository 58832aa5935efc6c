"""What keeps Dagster true and small.

What belongs here: whether runs live, how they are ended, reconciling, old runs, the nightly retention. What does not: the stages (`stage`).
"""
