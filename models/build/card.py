"""Writes the model card, so that its figures are always those of the model beside it."""

import pathlib
import string

import numpy as np

import dataset
import train

TITLES = {
    "test": "studio photos of the five, test split",
    "val": "studio photos of the five, validation split",
    "home_ours": "home photos of the five, contributor never seen",
    "home_other": "home photos of something else, contributor never seen",
    "studio_other": "studio photos of something else, kind never seen",
    "background": "scenes and textures, photo never seen",
}


def render(manifest, report, training):
    template = string.Template(pathlib.Path(__file__).with_name("card.md.in").read_text())
    rows = [
        "| photos | n | best of the five is right | accept | review | unknown |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in TITLES.items():
        r = report[name]
        right = _share(r["accuracy"]) if "accuracy" in r else "does not apply"
        rows.append(
            f"| {title} | {r['accept']['of']} | {right} | "
            + " | ".join(_share(r[decision]) for decision in ("accept", "review", "unknown"))
            + " |"
        )
    per_class = []
    for source, name in (("train", "training"), ("val", "validation"), ("test", "test"), ("home", "home")):
        counts = [int(((training.source == source) & (training.y == i)).sum()) for i in range(len(dataset.CLASSES))]
        per_class.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    calibration, precisions = report["calibration"], report["precisions"]
    return template.substitute(
        figures="\n".join(rows),
        counts="\n".join(["| photos | " + " | ".join(dataset.CLASSES) + " |", "|---" * 6 + "|", *per_class]),
        accepted_test=_share(report["test"]["right_of_accepted"]),
        accepted_home=_share(report["home_ours"]["right_of_accepted"]),
        precision=manifest["model"]["precision"].upper(),
        megabytes=f"{manifest['model']['bytes'] / 1e6:.1f}",
        negatives=len(manifest["output"]["unknown"]),
        others=int((training.source == "other").sum()),
        home_others=int(((training.source == "home") & ~training.ours).sum()),
        backgrounds=int((training.source == "background").sum()),
        home_weight=f"{train.HOME:g}",
        home_ours_weight=f"{train.HOME * train.HOME_OURS:g}",
        temperature=manifest["temperature"],
        accept=manifest["thresholds"]["accept"],
        unknown=manifest["thresholds"]["unknown"],
        nll=calibration["held_out"]["nll"],
        nll_before=calibration["held_out_uncalibrated"]["nll"],
        ece=calibration["held_out"]["ece"],
        ece_before=calibration["held_out_uncalibrated"]["ece"],
        test_ece=calibration["test"]["ece"],
        fp32_val=_percent(precisions["fp32"]["val"]),
        fp32_home=_percent(precisions["fp32"]["home"]),
        int8_val=_percent(precisions["int8"]["val"]),
        int8_home=_percent(precisions["int8"]["home"]),
        batches=report["same_bits"]["batches"],
        differing=report["same_bits"]["differing"],
    )


def _percent(value):
    return f"{np.round(value * 100, 1):.1f} %"


def _share(r):
    return f"{_percent(r['share'])} ({r['low'] * 100:.1f}–{r['high'] * 100:.1f})"
