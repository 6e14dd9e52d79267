"""Runs a backbone over pictures and their variations, and keeps what it says in a cache."""

import hashlib
import multiprocessing
import os
import pathlib

import numpy as np
import onnxruntime

import pictures

_worker = {}


def session(model):
    """As the classifier opens one: a single thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def extract(models, data, found, variations, cache):
    """{name: features [pictures, 1 + variations, 1280]} for each backbone; the first is the picture as it is.

    All backbones see the same variations. A picture's random numbers depend on its path alone, so the result
    does not depend on how many processes share the work.
    """
    digest = hashlib.sha256(repr((found, variations)).encode())
    digest.update(pathlib.Path(pictures.__file__).read_bytes())
    for name, model in models.items():
        digest.update(name.encode() + model.SerializeToString(deterministic=True))
    path = pathlib.Path(cache, f"features-{digest.hexdigest()[:16]}.npz")
    if not path.exists():
        scenes = [f"{data}/{p.path}" for p in found if p.source == "background"]
        work = [(f"{data}/{p.path}", p, variations if p.source not in ("val", "test") else 0) for p in found]
        processes = min(2, len(os.sched_getaffinity(0)))
        with multiprocessing.Pool(processes, _start, (models, scenes)) as pool:
            rows = pool.map(_one, work, chunksize=16)
        out = {name: np.zeros((len(found), 1 + variations, rows[0][name].shape[1]), np.float32) for name in models}
        for i, row in enumerate(rows):
            for name, values in row.items():
                out[name][i, : len(values)] = values
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **out)
        temporary.rename(path)
    with np.load(path) as file:
        return {name: file[name] for name in models}


def _start(models, scenes):
    _worker["sessions"] = {name: session(model) for name, model in models.items()}
    _worker["scenes"] = scenes


def _one(work):
    path, picture, variations = work
    seed = int.from_bytes(hashlib.sha256(picture.path.encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    image = pictures.load(path)
    seen = [image]
    for i in range(variations):
        # Every second variation of a studio photo is cut out, negatives too: a scene must not mean "one of ours".
        cut = picture.source in ("train", "other") and i % 2 == 1
        scene = pictures.load(_worker["scenes"][rng.integers(len(_worker["scenes"]))]) if cut else None
        seen.append(pictures.vary(image, rng, scene))
    batch = np.stack([pictures.tensor(image) for image in seen])
    return {
        name: session.run(None, {"image": batch})[0].reshape(len(batch), -1)
        for name, session in _worker["sessions"].items()
    }
