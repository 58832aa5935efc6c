"""`python -m reframer_pipeline`: the same as the `reframer` command."""

from reframer_pipeline.cli import main

main()
