"""What keeps Dagster true and small: reconciling, dead runs, old runs, the nightly retention."""
