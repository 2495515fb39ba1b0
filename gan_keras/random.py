"""Random numbers of training: pure functions of (seed, stream, step, replica), without state.

A run that is resumed at step t, with any number of replicas, draws the same numbers as an uninterrupted run.
"""

import keras
import tensorflow as tf

from gan_keras import replicas
from gan_keras.inside import inside

# The purpose of a draw. Streams never share a seed, so evaluation and sampling do not affect training.
TRAINING, EVALUATION, SAMPLING, SHUFFLING = 0, 1, 2, 3

_MAX_DRAWS = 2**10
MAX_STEPS = 2**48


def stateless_seed(seed, stream, step, draw=0):
    """The two-element seed of TensorFlow's stateless random ops for one draw; different arguments give different seeds."""
    position = (tf.cast(step, tf.int64) + stream * MAX_STEPS) * _MAX_DRAWS + draw
    return tf.stack([tf.cast(seed, tf.int64), position])


# TensorFlow's stateless floats are different under XLA, but its raw bits are not. Philox by name, since "auto_select" may use
# another algorithm on another device.


def bits(shape, seed):
    """Uniform uint32 draws."""
    return tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")


def uniform(shape, seed):
    """float32 draws from U[0, 1): multiples of 2^-24."""
    return tf.cast(tf.bitwise.right_shift(bits(shape, seed), tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24


def normal(shape, seed):
    """float32 draws from the standard normal: the inverse distribution function at the midpoints of 2^23 equal intervals."""
    interval = tf.cast(tf.bitwise.right_shift(bits(shape, seed), tf.constant(9, tf.uint32)), tf.float32)
    return tf.math.ndtri((interval + 0.5) * 2.0**-23)


class Random:
    """The random numbers of one step, which are numbered in the order of the draws.

    Each of several replicas draws the numbers for all and uses its part, so together they have the same numbers as one device.

    Args:
        seed: Integer, the seed of the user.
        stream: The purpose of the draws, such as `TRAINING`.
        step: Integer or scalar tensor.
        shared: Whether draws are split over replicas; `False` outside of their steps.
    """

    def __init__(self, seed, stream, step, shared=True):
        self._seed, self._stream, self._step, self._shared = seed, stream, step, shared
        self._draws = 0

    def normal(self, shape):
        """Standard normal draws of `shape`, whose first axis is this replica's batch."""
        return self._draw(normal, shape)

    def uniform(self, shape):
        """Draws from U[0, 1) of `shape`, whose first axis is this replica's batch."""
        return self._draw(uniform, shape)

    def layer_seeds(self, *shape):
        """Seeds for Keras' seed generators: a uint32 tensor (*shape, 2), different on every replica."""
        if not all(shape):  # no draw, so that the numbers of others do not change
            return tf.zeros((*shape, 2), tf.uint32)
        return self._draw(bits, (*shape, 2))

    def _draw(self, draw, shape):
        seed = stateless_seed(self._seed, self._stream, self._step, self._draws)
        self._draws += 1
        if self._draws > _MAX_DRAWS:
            raise ValueError(f"A step makes at most {_MAX_DRAWS} random draws; use fewer updates per step.")
        return replicas.part(draw, shape, seed) if self._shared else draw(shape, seed)


# The seeds of layers.


def seed_states(*networks):
    """The states of the seed generators of layers such as Dropout, in the order of the networks' variables."""
    states = {id(g.state) for network in networks for g in inside(network, keras.random.SeedGenerator)}
    return [v for network in networks for v in network.variables if id(v) in states]


def seed_layers(random, *networks):
    """Set the seeds of layers such as Dropout for this update; Keras keeps them in state that it does not save."""
    states = seed_states(*networks)
    for state, seed in zip(states, tf.unstack(random.layer_seeds(len(states)))):
        state.assign(seed)


def seeded(states, seeds):
    """A scope in which seed generators start from these seeds; their own state does not change."""
    return keras.StatelessScope(state_mapping=list(zip(states, tf.unstack(seeds), strict=True)))
