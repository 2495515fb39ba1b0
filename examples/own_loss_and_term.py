"""A loss and a regularizer of your own: python examples/own_loss_and_term.py [STEPS]"""

import sys

import keras
from keras import ops

import gan_keras

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000


@keras.saving.register_keras_serializable(package="mine")
class RelativisticAverage(gan_keras.losses.AdversarialLoss):
    """Compares each score with the mean score of the other kind of images. Jolicoeur-Martineau 2019, section 4.2."""

    def discriminator(self, real, fake):
        return ops.mean(ops.softplus(ops.mean(fake) - real)) + ops.mean(ops.softplus(fake - ops.mean(real)))

    def generator(self, real, fake):
        return self.discriminator(fake, real)


@keras.saving.register_keras_serializable(package="mine")
class Brightness(gan_keras.regularizers.Term):
    """Penalises a difference between the mean brightness of generated and of real images."""

    name, players = "brightness", ("generator",)

    def term(self, forward):
        return ops.square(ops.mean(forward.fake) - ops.mean(forward.images))


gan = gan_keras.GAN(gan_keras.networks.default_generator(), gan_keras.networks.default_discriminator(), ema=0.999)
adam = [keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99) for _ in range(2)]
gan.compile(*adam, loss=RelativisticAverage(), regularizers=["r1", Brightness(weight=10.0)])
digits, _ = gan_keras.data.load("mnist")
gan.fit(gan_keras.data.batches(digits, batch_size=32), steps_per_epoch=STEPS)
gan.save("own.keras")  # keras.models.load_model("own.keras") needs the two classes above
