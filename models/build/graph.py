"""Builds the ONNX graph of the backbone from its weights.

Batch normalisation is folded into the convolution before it: less to compute, less to quantize.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 9
SIZE = 260
FEATURES = 1280
BN_EPSILON = 1e-3
# Blocks that halve the picture; the other facts of EfficientNet-Lite2 follow from the shapes of its weights.
HALVING_BLOCKS = {1, 4, 7, 15}
BLOCKS = 21


class _Builder:
    def __init__(self, state):
        self.state = state
        self.nodes = []
        self.initializers = [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(6), "six"),
        ]

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, x, conv, norm, name, side, stride=1, relu6=True):
        """Convolution, folded normalisation and (not after a projection) ReLU6; returns output and its side."""
        weight = self.state[f"{conv}.weight"]
        gamma, beta, mean, variance = (
            self.state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + BN_EPSILON)
        self.initializers += [
            numpy_helper.from_array((weight * scale[:, None, None, None]).astype(np.float32), f"{name}.weight"),
            numpy_helper.from_array((beta - mean * scale).astype(np.float32), f"{name}.bias"),
        ]
        kernel = weight.shape[2]
        out_side = -(-side // stride)
        # TensorFlow's SAME padding: where it is odd, the larger half goes below and to the right.
        padding = max((out_side - 1) * stride + kernel - side, 0)
        before, after = padding // 2, padding - padding // 2
        x = self.node(
            "Conv",
            [x, f"{name}.weight", f"{name}.bias"],
            name,
            group=weight.shape[0] if "depthwise" in conv else 1,
            kernel_shape=[kernel, kernel],
            pads=[before, before, after, after],
            strides=[stride, stride],
        )
        if relu6:
            x = self.node("Clip", [x, "zero", "six"], f"{name}.relu6")
        return x, out_side


def backbone(state):
    """EfficientNet-Lite2 up to its pooled features: image [n,3,260,260] -> features [n,1280,1,1]."""
    b = _Builder(state)
    x, side = b.convolution("image", "_conv_stem", "_bn0", "stem", SIZE, stride=2)
    for i in range(BLOCKS):
        block, start = f"_blocks.{i}", x
        stride = 2 if i in HALVING_BLOCKS else 1
        if f"{block}._expand_conv.weight" in state:
            x, side = b.convolution(x, f"{block}._expand_conv", f"{block}._bn0", f"block{i}.expand", side)
        x, side = b.convolution(
            x, f"{block}._depthwise_conv", f"{block}._bn1", f"block{i}.depthwise", side, stride
        )
        x, side = b.convolution(
            x, f"{block}._project_conv", f"{block}._bn2", f"block{i}.project", side, relu6=False
        )
        project = state[f"{block}._project_conv.weight"]
        inner = state.get(f"{block}._expand_conv.weight")
        if stride == 1 and inner is not None and inner.shape[1] == project.shape[0]:
            x = b.node("Add", [x, start], f"block{i}.add")
    x, side = b.convolution(x, "_conv_head", "_bn1", "top", side)
    b.node("GlobalAveragePool", [x], "features")
    return _model(b.nodes, b.initializers, "features", ["batch", FEATURES, 1, 1])


def _model(nodes, initializers, output, shape):
    graph = helper.make_graph(
        nodes,
        "refund-classifier",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, shape)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="autorma")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
