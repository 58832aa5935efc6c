"""Video understanding as a pipeline: every person and product found, masked, tracked and placed in its scene.

Two layers, one direction. The core is plain functions on plain values and never imports Dagster: what all agree on (`settings`, `schemas`,
`versions`, `failures`, `handover`), the domain (`media`, `vision`, `scenes`, `uploads`, `demo`), and what keeps it (`database`, `store`,
`work`, `results`, `retention`, `planning`, `reading`). The shell is Dagster (`orchestration`, `definitions`, `running`) and holds no logic
of its own; `cli` is a face. Nothing imports upwards (`make lint` checks it). `docs/architecture.md` has the picture.
"""
