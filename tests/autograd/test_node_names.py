"""The names of nodes are PyTorch's: what `print(y.grad_fn)` and graph drawings show."""

from __future__ import annotations

from typing import Any

import pytest

Lib = Any

# Of a (2, 2) leaf x. F: nn.functional, t: the library. "Sum:1" is SumBackward1, "Sum" SumBackward0.
NAMES: dict[str, str] = {
    "x + 1": "Add", "x - 1": "Sub", "1 - x": "Rsub:1", "x * 2": "Mul", "x / 2": "Div", "-x": "Neg",
    "x ** 2": "Pow", "x ** x": "Pow:1", "2 ** x": "Pow:2", "1 / x": "Mul", "x @ x": "Mm",
    "x.mm(x)": "Mm", "x[None].bmm(x[None])": "Bmm", "x.mv(x[0])": "Mv", "x[0].dot(x[1])": "Dot",
    "x[None] @ x": "UnsafeView", "t.outer(x[0], x[0])": "Mul",
    "x.sum()": "Sum", "x.sum(0)": "Sum:1", "x.mean()": "Mean", "x.mean(1)": "Mean:1",
    "x.max()": "Max:1", "x.min()": "Min:1", "x.max(0)[0]": "Max", "x.amax(0)": "Amax",
    "t.maximum(x, x)": "Maximum", "x.prod()": "Prod", "x.norm()": "LinalgVectorNorm",
    "x.std()": "Std", "x.var()": "Var", "x.logsumexp(0)": "Logsumexp", "x.cumsum(0)": "Cumsum",
    "x.exp()": "Exp", "x.log()": "Log", "x.log1p()": "Log1P", "x.sqrt()": "Sqrt",
    "x.rsqrt()": "Rsqrt", "x.reciprocal()": "Reciprocal", "x.sin()": "Sin", "x.abs()": "Abs",
    "x.relu()": "Relu", "x.sigmoid()": "Sigmoid", "x.tanh()": "Tanh", "x.softmax(1)": "Softmax",
    "x.log_softmax(1)": "LogSoftmax", "F.gelu(x)": "Gelu", "F.silu(x)": "Silu",
    "F.leaky_relu(x)": "LeakyRelu", "F.elu(x)": "Elu", "F.softplus(x)": "Softplus",
    "x.clamp(0, 1)": "Clamp:1", "t.where(x > 0, x, x)": "Where",
    "x.masked_fill(x > 1, 0.0)": "MaskedFill", "x.tril()": "Tril", "x.triu()": "Triu",
    "x.view(-1)": "View", "x.flatten()": "View", "x.reshape(-1)": "View",
    "x.t().reshape(-1)": "UnsafeView", "x.t()": "T", "x.T": "Permute", "x.mT": "Transpose",
    "x.permute(1, 0)": "Permute", "x.transpose(0, 1)": "Transpose", "x.movedim(0, 1)": "Permute",
    "x.unsqueeze(0)": "Unsqueeze", "x[None].squeeze()": "Squeeze",
    "x[None].squeeze(0)": "Squeeze:1",
    "x.expand(2, 2, 2)": "Expand", "x.repeat(2, 2)": "Repeat", "x.flip(0)": "Flip",
    "x.roll(1, 0)": "Roll", "x.diagonal()": "Diagonal", "x.unfold(0, 1, 1)": "Unfold",
    "x.narrow(0, 0, 1)": "Slice", "x.clone()": "Clone", "x.t().contiguous()": "Clone",
    "x.double()": "ToCopy", "x.to(t.float64)": "ToCopy",
    "x[0]": "Select", "x[0:1]": "Slice", "x[t.tensor([0, 1])]": "Index", "x[x > 0]": "Index",
    "x.index_select(0, t.tensor([0]))": "IndexSelect", "x.take(t.tensor([0]))": "Take",
    "x.gather(0, t.tensor([[0, 1]]))": "Gather", "t.masked_select(x, x > 0)": "MaskedSelect",
    "x.scatter_add(0, t.tensor([[0, 1]]), x)": "ScatterAdd", "x.topk(1)[0]": "Topk",
    "x.sort()[0]": "Sort", "t.cat([x, x])": "Cat", "t.stack([x, x])": "Stack",
    "x.chunk(2)[0]": "Split", "x.split(1)[0]": "Split", "x.split([1, 1])[0]": "SplitWithSizes",
    "x.unbind(0)[0]": "Unbind", "t.atan2(x, x)": "Atan2",
    "F.linear(x, x, x[0])": "Addmm", "F.linear(x, x)": "Mm",
    "F.conv2d(x[None, None], x[None, None])": "Convolution",
    "F.conv_transpose2d(x[None, None], x[None, None])": "Convolution",
    "F.avg_pool2d(x[None, None], 2)": "AvgPool2D",
    "F.max_pool2d(x[None, None], 2)": "MaxPool2DWithIndices", "F.pad(x, (1, 1))": "ConstantPadNd",
    "F.interpolate(x[None, None], scale_factor=2)": "UpsampleNearest2D",
    "F.layer_norm(x, (2,))": "NativeLayerNorm", "F.group_norm(x, 1)": "NativeGroupNorm",
    "F.batch_norm(x, None, None, training=True)": "NativeBatchNorm",
    "F.embedding(t.tensor([0]), x)": "Embedding", "F.cross_entropy(x, t.tensor([0, 1]))": "NllLoss",
    "F.nll_loss(x, t.tensor([0, 1]))": "NllLoss", "F.mse_loss(x, x.detach())": "MseLoss",
    "F.l1_loss(x, x.detach())": "Mean", "F.smooth_l1_loss(x, x.detach())": "SmoothL1Loss",
    "F.huber_loss(x, x.detach())": "HuberLoss",
    "F.binary_cross_entropy(x.sigmoid(), x.detach().sigmoid())": "BinaryCrossEntropy",
    "F.binary_cross_entropy_with_logits(x, x.detach())": "BinaryCrossEntropyWithLogits",
    "x.clone().add_(2)": "Add", "x.clone().relu_()": "Relu", "x.clone().exp_()": "Exp",
    "x.clone().masked_fill_(x > 1, 0.0)": "MaskedFill",
}  # fmt: skip


@pytest.mark.parametrize("expression", NAMES)
@pytest.mark.filterwarnings("ignore:.*backed by")
def test_a_node_has_pytorchs_name(lib: Lib, expression: str) -> None:
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    name, _, number = NAMES[expression].partition(":")
    y = eval(expression, {"x": x, "t": lib, "F": lib.nn.functional})
    assert y.grad_fn.name() == f"{name}Backward{number or 0}"


WRITES = {
    "y[0] = 1.0": "torch::autograd::CopySlices",
    "y[0] = x[0]": "torch::autograd::CopySlices",
    "y[0].add_(1)": "torch::autograd::CopySlices",
    "y[x > 1] = 1.0": "IndexPutBackward0",
    "y[t.tensor([0])] = 1.0": "IndexPutBackward0",
}


@pytest.mark.parametrize("statement", WRITES)
def test_a_write_has_pytorchs_name(lib: Lib, statement: str) -> None:
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.clone()
    exec(statement, {"x": x, "y": y, "t": lib})
    assert y.grad_fn.name() == WRITES[statement]


def test_the_way_back_through_a_network_reads_as_in_the_tutorial(lib: Lib) -> None:
    nn = lib.nn
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    loss = nn.MSELoss()(net(lib.ones(1, 3)), lib.ones(1, 2))
    assert loss.grad_fn.name() == "MseLossBackward0"
    layer = loss.grad_fn.next_functions[0][0]
    assert layer.name() == "AddmmBackward0"
    assert [node.name() for node, _ in layer.next_functions] == [
        "torch::autograd::AccumulateGrad", "ReluBackward0", "TBackward0",
    ]  # fmt: skip
    assert str(net(lib.ones(1, 3))).endswith("grad_fn=<AddmmBackward0>)")
