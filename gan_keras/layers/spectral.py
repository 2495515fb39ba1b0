"""Spectral normalization, which bounds the Lipschitz constant of a layer."""

import keras
from keras import ops

_NORMALIZABLE = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Embedding,
)


def _normalize(vector):
    return vector / ops.sqrt(ops.sum(ops.square(vector)) + 1e-12)


class _AfterUpdate(keras.constraints.Constraint):
    """A constraint that calls a function and does not change the weight."""

    def __init__(self, function):
        self.function = function

    def __call__(self, weight):
        self.function()
        return weight


@keras.saving.register_keras_serializable(package="gan_keras")
class SpectralNormalization(keras.layers.Wrapper):
    """Divides the kernel of a Dense, Conv or Embedding layer by the kernel's largest singular value.

    It bounds the Lipschitz constant of each layer of a discriminator, by 1 for a Dense layer and by a constant for a convolution,
    and costs one power iteration for each update.
    `keras.layers.SpectralNormalization` overwrites the kernel with its projection. Here the kernel W is kept, the layer computes
    with `W / sigma(W)`, and the gradient flows through sigma: `<W, dL/dW> = 0`.

    `sigma = u^T W v`, with u a running estimate of the left singular vector and `v = W^T u / ||W^T u||`, both constants for
    the gradient. W is the kernel as a matrix (output features, everything else). u takes one step, `u = W v / ||W v||`,
    whenever an optimizer has updated W: once for each update however often the layer is called, and never at inference.
    Miyato, Kataoka, Koyama, Yoshida 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1.

    Args:
        layer: The Dense, Conv1D, Conv2D, Conv3D or Embedding layer, without a constraint on its kernel.
        initial_iterations: Number of power iterations when the layer is built, so that sigma is accurate from the first step.

    Raises:
        ValueError: The layer is of another kind, or has a constraint on its kernel.
    """

    def __init__(self, layer, initial_iterations=15, **kwargs):
        # sigma is computed in float32, whatever the precision of the layer.
        super().__init__(layer, **{"dtype": "float32", **kwargs})
        if type(layer) not in _NORMALIZABLE:
            raise ValueError(
                "SpectralNormalization needs a kernel with the output features on its last axis: "
                f"{', '.join(kind.__name__ for kind in _NORMALIZABLE)}. Received: {type(layer).__name__}. "
                "Instead of a transposed convolution use UpSampling and a convolution."
            )
        self.initial_iterations = initial_iterations

    def build(self, input_shape=None):
        super().build(input_shape)
        self._kernel = self.layer.embeddings if isinstance(self.layer, keras.layers.Embedding) else self.layer.kernel
        if self._kernel.constraint is not None:
            raise ValueError(
                f"SpectralNormalization replaces a constraint on the kernel. Received: {self._kernel.constraint}; remove it."
            )
        self.u = self.add_weight(
            shape=(self._kernel.shape[-1],),
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=0),
            trainable=False,
            name="u",
        )
        for _ in range(self.initial_iterations):
            self._power_iteration()
        # Optimizers apply a weight's constraint exactly once after each of its updates, in any training loop.
        self._kernel.constraint = _AfterUpdate(self._power_iteration)

    def _power_iteration(self):
        matrix = self._matrix()
        self.u.assign(_normalize(ops.matmul(matrix, self._right_vector(matrix))))

    def _matrix(self):
        return ops.transpose(ops.reshape(self._kernel, (-1, self._kernel.shape[-1])))

    def _right_vector(self, matrix):
        return _normalize(ops.matmul(self.u, matrix))

    def sigma(self):
        """The estimate of the kernel's largest singular value: a scalar, differentiable."""
        matrix = self._matrix()
        v = ops.stop_gradient(self._right_vector(matrix))
        return ops.sum(ops.stop_gradient(self.u) * ops.matmul(matrix, v))

    def call(self, inputs, **kwargs):
        # The wrapped layer reads the normalized kernel.
        with keras.StatelessScope(state_mapping=[(self._kernel, self._kernel / self.sigma())]):
            return ops.cast(self.layer(inputs, **kwargs), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "initial_iterations": self.initial_iterations}
