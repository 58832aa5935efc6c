"""Reads CVAT's XML with datumaro and prints what it found, as JSON. Runs in an environment of its own: datumaro wants older libraries."""

import json
import sys

import numpy as np
from datumaro.components.annotation import AnnotationType
from datumaro.components.dataset import Dataset

dataset = Dataset.import_from(sys.argv[1], "cvat")
names = [label.name for label in dataset.categories()[AnnotationType.label]]
found = []
for item in dataset:
    for one in item.annotations:
        row = {"kind": one.type.name, "frame": item.attributes["frame"], "class": names[one.label], "group": one.group, **one.attributes}
        if one.type == AnnotationType.mask:
            row["pixels"] = np.flatnonzero(one.image).tolist()
        else:
            row["xywh"] = one.get_bbox()
        found.append(row)
print(json.dumps(found))
