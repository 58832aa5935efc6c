"""Video understanding as a pipeline: every person and product found, masked, tracked and placed in its scene.

Two layers, one direction. The core (`media`, `vision`, `scenes`, `storage`, `uploads` and the modules `settings`,
`schemas`, `versions`, `failures`) is plain functions on plain values and never imports Dagster. The shell (`definitions`,
`assets`, `io_manager`, `run_videos`, …) is Dagster and holds no logic of its own. `docs/architecture.md` has the picture.
"""
