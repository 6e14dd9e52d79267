"""Measures the shipped file itself: figures on the test split, bits whatever the batch, milliseconds.

    target/model-build/venv/bin/python models/build/evaluate.py [--data ../shared/data] [--out models/shipped]
"""

import argparse
import json
import pathlib
import time

import numpy as np
import onnx

import dataset
import features
import head
import pictures

LARGEST_BATCH = 10


def wilson(hits, n):
    """95 % interval of a share."""
    z, p = 1.959964, hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def share(hits):
    low, high = wilson(hits.sum(), len(hits))
    return {"share": round(float(hits.mean()), 4), "low": round(low, 4), "high": round(high, 4), "of": len(hits)}


def figures(logits, y, t, accept, unknown):
    """Accuracy of the best of the five (on pictures of the five) and how often each decision is taken."""
    n = len(dataset.CLASSES)
    best, confidence, strange = head.judge(logits, t, n)
    refused = strange >= unknown
    accepted = ~refused & (confidence >= accept)
    out = {
        "accept": share(accepted),
        "review": share(~refused & ~accepted),
        "unknown": share(refused),
    }
    if (y < n).all():
        out["accuracy"] = share(best == y)
        out["right_of_accepted"] = share((best == y)[accepted])
    return out


def calibration(logits, y, t):
    """Negative log likelihood and expected calibration error (10 bins) over the five and "none of them"."""
    n = len(dataset.CLASSES)
    p = head.softmax(logits.astype(np.float64) / t)
    p = np.concatenate([p[:, :n], p[:, n:].sum(1, keepdims=True)], 1)
    y = np.minimum(y, n)
    top, right = p.max(1), p.argmax(1) == y
    bins = np.minimum((top * 10).astype(int), 9)
    ece = sum((bins == b).mean() * abs(top[bins == b].mean() - right[bins == b].mean()) for b in set(bins))
    nll = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-30)).mean()
    return {"nll": round(float(nll), 4), "ece": round(float(ece), 4)}


def same_bits(session, tensors, rounds=3):
    """Counts the batches of 1 to 10 pictures, neighbours shuffled, with a logit that differs in any bit."""
    run = lambda x: session.run(None, {"image": x})[0].view(np.uint32)
    alone = np.concatenate([run(tensors[i : i + 1]) for i in range(len(tensors))])
    batches = differing = 0
    for size in range(1, LARGEST_BATCH + 1):
        for turn in range(rounds):
            order = np.random.default_rng(size * 100 + turn).permutation(len(tensors))
            for start in range(0, len(order) - size + 1, size):
                chosen = order[start : start + size]
                batches += 1
                differing += not np.array_equal(run(tensors[chosen]), alone[chosen])
    return {"batches": batches, "differing": differing}


def milliseconds(session, tensors, size):
    """Median for one picture in batches of `size`."""
    times = []
    for _ in range(10 + 200 // size):
        start = time.perf_counter()
        session.run(None, {"image": tensors[:size]})
        times.append((time.perf_counter() - start) / size * 1e3)
    return round(float(np.median(times)), 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", default="models/shipped")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.out)
    manifest = json.loads((folder / "manifest.json").read_text())
    session = features.session(onnx.load(folder / manifest["model"]["file"]))
    labels = manifest["classes"] + manifest["output"]["unknown"]
    found = [p for p in dataset.pictures(arguments.data) if p.source == "test"]
    tensors = np.stack([pictures.tensor(pictures.load(f"{arguments.data}/{p.path}")) for p in found])
    logits = np.concatenate([session.run(None, {"image": tensors[i : i + 1]})[0] for i in range(len(tensors))])
    y = np.array([labels.index(p.label) for p in found])
    t, at = manifest["temperature"], manifest["thresholds"]
    print("test", json.dumps(figures(logits, y, t, at["accept"], at["unknown"]) | calibration(logits, y, t)))
    print("same bits", same_bits(session, tensors[::6]))
    print("ms a picture", {size: milliseconds(session, tensors, size) for size in (1, LARGEST_BATCH)})


if __name__ == "__main__":
    main()
