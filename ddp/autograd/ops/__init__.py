"""The differentiable operations, a file per family.

How an operation is written. The function computes on arrays and says its formula; the node class
right below it says the gradient. Look at `mul` in `arithmetic.py` and `exp` in `elementwise.py`;
the pattern is

    def mul(a: Operand, b: Operand) -> Tensor:
        '''y = a · b, broadcast.'''
        a, b = operands(a, b)                              # tensors of the result's dtype
        y = wrap(a.array * b.array)
        if node := MulBackward0.record(y, a, b):           # None: no gradient wanted, keep nothing
            node.save(b if node.needs(0) else None, a if node.needs(1) else None)
        return y

    class MulBackward0(Node):
        '''da = dy · b,  db = dy · a.'''

        __slots__ = ("shapes",)                            # attributes of its own, if any

        def backward(self, dy: Array) -> Gradients:
            b, a = self.saved
            da = None if b is None else unbroadcast(dy * b, ...)
            ...
            return da, db                                  # one per input of `record`, in order

- `record(y, *inputs)` makes one edge per input, in this order (`next_functions`), and sets
  `y.grad_fn`. Inputs that need no gradient get `(None, 0)`; `node.needs(i)` tells. Save only what
  the needed gradients require, and compute only those: None stands for the others.
- `save` takes tensors (version-checked when the gradient is taken) and arrays that are nobody
  else's (masks, probabilities, normalised inputs). They are freed as the walk passes, so big
  arrays go through `save`; small facts (shapes, axes, numbers) are attributes named in `__slots__`.
- A node saves an output as readily as an input: `node.save(y)`.
- `saves = Saves(other=1, self=0)` in the class says what `save` keeps, in order, under PyTorch's
  names: the number of an input, RESULT or CONSTANT. With it `create_graph=True` works through the
  operation, by running these same lines on recorded arrays (`traced.py`), and refuses what it
  cannot record. Formulas on tensors, where the lines do not serve, stand in `second_order.py`.
- `backward` gets and returns NumPy arrays. Never write into `dy`: it may be shared or stride-0.
  A 0-d gradient may be a NumPy scalar. Gradients have the input's shape and dtype: float32 in,
  float32 out, so constants are Python numbers or arrays of the dtype, never np.float64.
- Where each array that `backward` returns is new and handed to nobody else, `gives_new_arrays` in
  the class lets a leaf keep it. `node.sink(i)` is the memory where a leaf wants its gradient, if it
  has any: a large product is written there (`linear.py`). Both save a pass over the gradients.
- A class has the name PyTorch prints (`ExpBackward0`).
- An operation whose result shares its input's memory returns `view_of(x, array)` instead of
  `wrap(array)`: views share the version counter and know their base.
- An operation with several differentiable outputs calls `record_several(outputs, *inputs)`; its
  `backward` gets one gradient per output, None for an output nobody used.
- An operation made of other operations needs no node. One that a user writes is a `Function`.
"""
