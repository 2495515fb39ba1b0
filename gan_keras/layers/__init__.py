"""Layers that Keras lacks or gets wrong, a file for each family."""

from gan_keras.inside import inside
from gan_keras.layers.minibatch import MinibatchDiscrimination, MinibatchStandardDeviation, Packing
from gan_keras.layers.spectral import SpectralNormalization

__all__ = ["MinibatchDiscrimination", "MinibatchStandardDeviation", "Packing", "SpectralNormalization", "inside"]
