"""How the demo models were trained: on drawn clips with exact truth (docs/demo-models.md).

What belongs here: the training frames and the trainers. What does not: the drawn world (`reframer_pipeline.demo`), the architectures
(`reframer_pipeline.vision.demo_models`). Not part of the installed package.
"""
