"""Layers that Keras lacks or gets wrong, a file for each family.

- `spectral`: `SpectralNormalization`.
- `minibatch`, against mode collapse: `Packing`, `MinibatchStandardDeviation`, `MinibatchDiscrimination`.
- `virtual`, batch normalization that does not couple examples: `VirtualBatchNormalization` inside a `ReferenceBatch`.
- `augmentation`, for small data sets: `DiffAugment`.
"""

from gan_keras.inside import inside
from gan_keras.layers.augmentation import DiffAugment
from gan_keras.layers.minibatch import MinibatchDiscrimination, MinibatchStandardDeviation, Packing
from gan_keras.layers.spectral import SpectralNormalization
from gan_keras.layers.virtual import ReferenceBatch, VirtualBatchNormalization

__all__ = [
    "DiffAugment",
    "MinibatchDiscrimination",
    "MinibatchStandardDeviation",
    "Packing",
    "ReferenceBatch",
    "SpectralNormalization",
    "VirtualBatchNormalization",
    "inside",
]
