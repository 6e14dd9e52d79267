"""Turns the float backbone into INT8: QDQ, activations u8, weights s8 with one scale a channel.

The pooling stays in float: an average over 49 places is worth more than 8 bits, and it costs nothing.
"""

import pathlib
import tempfile

import onnx
from onnxruntime import quantization as q

CALIBRATION_BATCH = 16


class _Reader(q.CalibrationDataReader):
    def __init__(self, tensors):
        self.batches = iter(
            {"image": tensors[i : i + CALIBRATION_BATCH]} for i in range(0, len(tensors), CALIBRATION_BATCH)
        )

    def get_next(self):
        return next(self.batches, None)


def quantize(model, tensors, reduce_range=False):
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "fp32.onnx"), pathlib.Path(folder, "int8.onnx")
        onnx.save(model, source)
        q.quantize_static(
            source,
            target,
            _Reader(tensors),
            quant_format=q.QuantFormat.QDQ,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            per_channel=True,
            reduce_range=reduce_range,
            calibrate_method=q.CalibrationMethod.MinMax,
            nodes_to_exclude=["features"],
        )
        return onnx.load(target)
