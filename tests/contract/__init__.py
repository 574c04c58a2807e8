"""What PyTorch promises, a fact per test, on both libraries: who breaks a fact sees it named.

Where a subject's facts stand:

- roots, starting gradients, accumulation: `tests/autograd/test_backward.py`
- leaves, freezing, detaching, grad modes, guards: `tests/autograd/test_leaves.py`,
  `test_inference_mode.py`
- writes, version counters, history of views: `tests/autograd/test_in_place.py`
- hooks of tensors and nodes, and their order: `tests/autograd/test_hooks.py`,
  `test_graph_tools.py` (several tensors)
- nodes, edges, names, what a graph costs: `tests/autograd/test_graph.py`, `test_node_names.py`,
  `test_saved_tensors.py`
- `autograd.Function`: `tests/autograd/test_function.py`
- `autograd.grad`, gradients of gradients, checks, anomalies: `tests/autograd/test_grad.py`,
  `test_double_backward.py`, `test_gradients.py`, `test_anomaly.py`
- gradients at special points, dtypes of results: `tests/autograd/test_special_points.py`
- modules, initial values and random numbers, clipping, losses, optimizers and schedulers: here
- the notes that the project grew from, and what was wrong in them: `tests/seed`
"""
