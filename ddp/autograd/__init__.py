"""Automatic differentiation on NumPy: tensors, the graph they record, the walk back.

`tensor.py` is the tensor, `node.py` the recorded graph, `engine.py` the walk, `ops/` the
operations (its docstring says how one is written), `function.py` the operations users write.
"""

from __future__ import annotations

from ddp.autograd import functional as functional
from ddp.autograd import graph as graph
from ddp.autograd.allocator import keep_freed_memory
from ddp.autograd.anomaly import detect_anomaly as detect_anomaly
from ddp.autograd.anomaly import set_detect_anomaly as set_detect_anomaly
from ddp.autograd.function import Function as Function
from ddp.autograd.grad_mode import enable_grad as enable_grad
from ddp.autograd.grad_mode import inference_mode as inference_mode
from ddp.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from ddp.autograd.grad_mode import no_grad as no_grad
from ddp.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from ddp.autograd.gradcheck import gradcheck as gradcheck
from ddp.autograd.gradcheck import gradgradcheck as gradgradcheck
from ddp.autograd.gradients import backward as backward
from ddp.autograd.gradients import grad as grad
from ddp.autograd.methods import install
from ddp.autograd.node import SavedAttribute
from ddp.autograd.saved import saved_attribute
from ddp.autograd.tensor import Tensor
from ddp.autograd.variable import Variable as Variable

install(Tensor)
SavedAttribute.look_up = saved_attribute
keep_freed_memory()
