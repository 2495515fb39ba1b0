"""An estimate of the least time of a step on this machine: a roofline of its graph. Williams, Waterman, Patterson 2009.

A matrix product or a convolution takes as long as its operations at the rate of a large matrix product, or as moving its
operands, whichever is longer. Everything between them (activations, normalization, the optimizers) is taken to be one perfect
kernel each time, that reads what a product made and writes what the next one takes: the time of these bytes, and of those of
the variables that are read and assigned. Products with the zeros at the edges of images are counted, which a kernel may leave out.
"""

import time

import numpy as np
import tensorflow as tf

# Rows of the matrices whose product tells the rate of arithmetic, and numbers in the sum that tells that of memory.
LARGE, LONG = 2048, 2**20

# What gives a tensor a new shape or name and moves nothing; what makes numbers of nothing; what looks at shapes alone.
_VIEWS = {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient"}
_GIVEN = {"Placeholder", "Const", "ReadVariableOp"}
_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs"}


def of(step, images):
    """A peer of the benchmark: a function of a number of steps to the least seconds of one, at the rates of the moment."""
    products, between = work(step, images)

    def seconds(steps):
        operations, memory = rate_of_products(), rate_of_memory()
        return sum(max(flops / operations, moved / memory) for flops, moved in products) + between / memory

    return seconds


def work(step, images):
    """[(operations, bytes) of each matrix product and convolution], and the bytes that all else must move, of a `tf.function`."""
    ops = needed(step.get_concrete_function(images).graph)
    products, between = [], {}  # {name of what is moved once: bytes}
    for op in ops:
        if multiplications(op):
            products.append((2 * multiplications(op), sum(map(size, [*op.inputs, *op.outputs]))))
        if op.type == "ReadVariableOp":
            between[op.inputs[0].name] = size(op.outputs[0])
        if op.type.startswith("Assign"):
            between[op.name] = size(op.inputs[1])
        if op.type in _VIEWS | _SHAPES:
            continue
        for tensor in map(original, op.inputs):
            if tensor.op.type not in _GIVEN and bool(multiplications(op)) != bool(multiplications(tensor.op)):
                between[tensor.name] = size(tensor)
    return products, sum(between.values())


def needed(graph):
    """The operations of a graph that something asks for."""
    ops, found = [*(output.op for output in graph.outputs), *graph.control_outputs], set()
    while ops:
        op = ops.pop()
        if op not in found:
            found.add(op)
            ops += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return found


def original(tensor):
    """What a tensor is a view of."""
    while tensor.op.type in _VIEWS:
        tensor = tensor.op.inputs[0] if tensor.op.type != "IdentityN" else tensor.op.inputs[tensor.value_index]
    return tensor


def size(tensor):
    """Bytes of a tensor."""
    return int(np.prod(tensor.shape)) * tensor.dtype.size


def multiplications(op):
    """Multiplications of a matrix product, a convolution, or a convolution's gradient; 0 for anything else."""
    if op.type == "MatMul":
        return np.prod(op.outputs[0].shape) * op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
    if op.type == "Conv2D":
        made, kernel = op.outputs[0], op.inputs[1]
    elif op.type == "Conv2DBackpropInput":
        made, kernel = op.inputs[2], op.inputs[1]
    elif op.type == "Conv2DBackpropFilter":
        made, kernel = op.inputs[2], op.outputs[0]
    else:
        return 0
    return np.prod(made.shape) * np.prod(kernel.shape[:3])


def rate_of_products():
    """Floating-point operations a second of a matrix product that is large enough: float32, square."""
    a = tf.random.normal((LARGE, LARGE))
    return 2 * LARGE**3 / _seconds(lambda: tf.matmul(a, a))


def rate_of_memory():
    """Bytes a second of a sum: two operands and the result, each the size of a large layer's output."""
    a, b = tf.random.normal((LONG,)), tf.random.normal((LONG,))
    return 3 * size(a) / _seconds(lambda: a + b)


def _seconds(compute, times=8):
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        compute()
        tf.test.experimental.sync_devices()
        seconds.append(time.perf_counter() - begin)
    return np.median(seconds)
