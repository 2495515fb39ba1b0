"""A conditional GAN, asked for sevens: python examples/digits_on_demand.py [STEPS]"""

import sys

import keras

import gan_keras
from gan_keras import networks, plots, regularizers

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

digits, labels = gan_keras.data.load("mnist")
stream = gan_keras.data.batches(digits, labels, batch_size=32)

gan = gan_keras.GAN(
    networks.default_generator(latent_dim=64, num_classes=10, mapping=0),  # the labels separate the digits already
    networks.default_discriminator(num_classes=10),
    num_classes=10,
    ema=0.999,
)
gan.compile(
    keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99),
    keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99),
    regularizers=regularizers.R1(2.0, one_in=4),
)
gan.fit(stream, steps_per_epoch=STEPS)

sevens = gan.sample(100, seed=1, labels=7)
plots.grid(plots.to_uint8(sevens, gan.value_range)).save("on_demand.png")
