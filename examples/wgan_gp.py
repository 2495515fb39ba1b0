"""WGAN-GP with networks of your own: python examples/wgan_gp.py [STEPS]"""

import sys

import keras
from keras import layers

import gan_keras

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

z = keras.Input((100,))
x = layers.Reshape((7, 7, 128))(layers.Dense(7 * 7 * 128, activation="relu")(z))
x = layers.Conv2DTranspose(64, 4, strides=2, padding="same", activation="relu")(x)
x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh")(x)
generator = keras.Model(z, x)

images = keras.Input((28, 28, 1))
x = layers.LeakyReLU(0.2)(layers.Conv2D(32, 4, strides=2, padding="same")(images))
x = layers.LeakyReLU(0.2)(layers.Conv2D(64, 4, strides=2, padding="same")(x))
critic = keras.Model(images, layers.Dense(1)(layers.Flatten()(x)))  # no BatchNorm, no sigmoid

gan = gan_keras.GAN(generator, critic, ema=0.999)
gan.compile(
    keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9),
    keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9),
    loss="wasserstein",
    regularizers=gan_keras.regularizers.GradientPenalty(10.0),
    schedule=gan_keras.schedules.Alternating(n_critic=5),
)
digits, _ = gan_keras.data.load("mnist")
stream = gan_keras.data.batches(digits, batch_size=5 * 64)  # five batches of 64 for the critic in each step
gan.fit(stream, steps_per_epoch=STEPS, callbacks=[gan_keras.callbacks.SampleGrid("wgan_gp", every=500)])
gan.save("wgan_gp.keras")
