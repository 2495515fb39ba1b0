"""A GAN of your own images, 64x64 in colour: python examples/own_images.py FOLDER [STEPS]

FOLDER has PNG, JPEG, BMP or GIF files of any size, also in subfolders.
"""

import sys

import keras

import gan_keras
from gan_keras import callbacks, networks, regularizers

FOLDER = sys.argv[1]
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
SHAPE = (64, 64, 3)

images, _ = gan_keras.data.load(FOLDER, image_size=SHAPE[:2], channels=SHAPE[2])
gan = gan_keras.GAN(
    networks.dcgan_generator(latent_dim=100, shape=SHAPE),
    networks.dcgan_discriminator(normalization=None, shape=SHAPE),  # gradient penalties need a discriminator without BatchNorm
    ema=0.999,
)
gan.compile(
    keras.optimizers.Adam(2e-4, beta_1=0.5),
    keras.optimizers.Adam(2e-4, beta_1=0.5),
    regularizers=regularizers.R1(1.0),
)
checkpoint = callbacks.Checkpoint("own_images/checkpoints", every=500)
start = checkpoint.restore(gan)  # run it again after a crash: it continues
stream = gan_keras.data.batches(images, batch_size=32, start=start)
gan.fit(stream, steps_per_epoch=STEPS - start, callbacks=[callbacks.SampleGrid("own_images", every=500), checkpoint])
