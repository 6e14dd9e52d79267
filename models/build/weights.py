"""Reads a network's weights out of a PyTorch .pth file, without PyTorch.

The file is PyTorch's "legacy" format: four pickles (magic number, protocol, system facts, the state dict),
a fifth that lists storage keys, then each storage as a 64-bit element count and raw little-endian numbers.
A pickle can run any code it names, so the unpickler below knows four names and refuses every other.
"""

import collections
import hashlib
import importlib.resources
import pickle
import struct

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def _rebuild_tensor(storage, offset, size, stride, *_hooks):
    """What torch._utils._rebuild_tensor_v2 stands for here: a note of where the tensor will lie."""
    return storage, offset, tuple(size), tuple(stride)


class _Unpickler(pickle.Unpickler):
    ALLOWED = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def find_class(self, module, name):
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"refused: {module}.{name}") from None

    def persistent_load(self, pid):
        kind, dtype, key, _device, count, _view = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"refused: persistent {kind}")
        return DTYPES[dtype], key, count


def load(package, name, sha256):
    """The state dict in a package's file: name -> float32 array (the integer counters of batch normalisation are left
    out)."""
    path = importlib.resources.files(package) / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise SystemExit(f"{name}: sha256 is {digest}, expected {sha256}")
    with path.open("rb") as file:
        magic, _protocol, _system, tensors, keys = (_Unpickler(file).load() for _ in range(5))
        if magic != MAGIC:
            raise SystemExit(f"{name}: not a PyTorch file of the legacy format")
        dtypes = {storage[1]: storage[0] for storage, *_ in tensors.values()}
        storages = {}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key])
    state = {}
    for tensor, (storage, offset, size, stride) in tensors.items():
        # The tensors were transposed from TensorFlow's layout: they are views with strides, in elements.
        base = storages[storage[1]][offset:]
        if sum((n - 1) * step for n, step in zip(size, stride)) >= base.size:
            raise SystemExit(f"{tensor}: reaches beyond its storage")
        array = np.lib.stride_tricks.as_strided(base, size, [step * base.itemsize for step in stride])
        if array.dtype == np.float32:
            state[tensor] = np.ascontiguousarray(array)
    return state
