"""Builds the ONNX graph of the backbone from the weights of its networks, which look at the same picture side by side:
the features of one follow those of the other. Of each they are first the means over all places, then the maxima.

Batch normalisation is folded into the convolution before it: less to compute, less to quantize.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 9
SIZE = 260
BN_EPSILON = 1e-3


class _Builder:
    def __init__(self):
        self.nodes = []
        self.initializers = [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(6), "six"),
        ]

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name


class _Network:
    """One EfficientNet-Lite: what isn't said here follows from the shapes of its weights."""

    def __init__(self, builder, name, state, halving):
        self.builder = builder
        self.name = name
        self.state = state
        self.halving = halving
        self.blocks = sum(key.endswith("._project_conv.weight") for key in state)
        self.features = len(state["_conv_head.weight"])

    def node(self, op, inputs, name, **attributes):
        return self.builder.node(op, inputs, f"{self.name}.{name}", **attributes)

    def convolution(self, x, conv, norm, name, side, stride=1, relu6=True):
        """Convolution, folded normalisation and (not after a projection) ReLU6; returns output and its side."""
        weight = self.state[f"{conv}.weight"]
        gamma, beta, mean, variance = (
            self.state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + BN_EPSILON)
        weights, bias = f"{self.name}.{name}.weight", f"{self.name}.{name}.bias"
        self.builder.initializers += [
            numpy_helper.from_array((weight * scale[:, None, None, None]).astype(np.float32), weights),
            numpy_helper.from_array((beta - mean * scale).astype(np.float32), bias),
        ]
        kernel = weight.shape[2]
        out_side = -(-side // stride)
        # TensorFlow's SAME padding: where it is odd, the larger half goes below and to the right.
        padding = max((out_side - 1) * stride + kernel - side, 0)
        before, after = padding // 2, padding - padding // 2
        x = self.node(
            "Conv",
            [x, weights, bias],
            name,
            group=weight.shape[0] if "depthwise" in conv else 1,
            kernel_shape=[kernel, kernel],
            pads=[before, before, after, after],
            strides=[stride, stride],
        )
        if relu6:
            x = self.node("Clip", [x, "zero", "six"], f"{name}.relu6")
        return x, out_side

    def pooled(self):
        """Up to its pooled features: image [n,3,260,260] -> means and maxima, [n,features,1,1] each; returns their names."""
        x, side = self.convolution("image", "_conv_stem", "_bn0", "stem", SIZE, stride=2)
        for i in range(self.blocks):
            block, start = f"_blocks.{i}", x
            stride = 2 if i in self.halving else 1
            if f"{block}._expand_conv.weight" in self.state:
                x, side = self.convolution(x, f"{block}._expand_conv", f"{block}._bn0", f"block{i}.expand", side)
            x, side = self.convolution(
                x, f"{block}._depthwise_conv", f"{block}._bn1", f"block{i}.depthwise", side, stride
            )
            x, side = self.convolution(
                x, f"{block}._project_conv", f"{block}._bn2", f"block{i}.project", side, relu6=False
            )
            project = self.state[f"{block}._project_conv.weight"]
            inner = self.state.get(f"{block}._expand_conv.weight")
            if stride == 1 and inner is not None and inner.shape[1] == project.shape[0]:
                x = self.node("Add", [x, start], f"block{i}.add")
        x, side = self.convolution(x, "_conv_head", "_bn1", "top", side)
        return [self.node("GlobalAveragePool", [x], "means"), self.node("GlobalMaxPool", [x], "maxima")]


def backbone(networks):
    """The networks, each as (name, state dict, numbers of the blocks that halve the picture), and what they say in a
    row: image [n,3,260,260] -> features [n,twice the sum of theirs,1,1]."""
    builder = _Builder()
    networks = [_Network(builder, *network) for network in networks]
    builder.node("Concat", [name for network in networks for name in network.pooled()], "features", axis=1)
    features = 2 * sum(network.features for network in networks)
    return _model(builder.nodes, builder.initializers, "features", ["batch", features, 1, 1])


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
