import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import Point, tiny_discriminator, tiny_gan, tiny_images

import gan_keras
from gan_keras import schedules
from gan_keras.forward import Batch


class Spy:
    """Records the moves of a schedule."""

    def __init__(self):
        self.moves = []

    def update_discriminator(self, batch, on=("real", "fake")):
        self.moves.append(("d", on, batch.images.numpy().ravel().tolist()))
        return {"d_loss": 1.0}

    def update_generator(self, batch):
        self.moves.append(("g", len(batch.images)))
        return {"g_loss": 2.0}

    def update_both(self, batch):
        self.moves.append(("both", batch.images.numpy().ravel().tolist()))
        return {"d_loss": 3.0, "g_loss": 4.0}


def moves(schedule, n=6):
    spy = Spy()
    logs = schedule.step(spy, Batch(tf.reshape(tf.range(n, dtype=tf.float32), (n, 1)), None, None))
    return spy.moves, logs


BOTH = ("real", "fake")


def test_alternating_shows_each_update_fresh_data():
    assert moves(schedules.Alternating(3))[0] == [
        ("d", BOTH, [0, 3]),
        ("d", BOTH, [1, 4]),
        ("d", BOTH, [2, 5]),
        ("g", 2),
    ]


def test_simultaneous_moves_once():
    assert moves(schedules.Simultaneous())[0] == [("both", [0, 1, 2, 3, 4, 5])]


def test_three_phase_is_generator_then_discriminator_then_both():
    made, _ = moves(schedules.ThreePhase(2, 1, 2))
    assert made == [("g", 2), ("g", 2), ("d", BOTH, [0, 3]), ("both", [1, 4]), ("both", [2, 5])]


def test_three_step_adds_the_halves_of_the_loss():
    made, logs = moves(schedules.ThreeStep())
    data = [0, 1, 2, 3, 4, 5]
    assert made == [("d", "real", data), ("d", "fake", data), ("g", 6)]
    assert logs == {"d_loss": 2.0, "g_loss": 2.0}


@pytest.mark.parametrize(
    "schedule, discriminator_updates, generator_updates",
    [
        (schedules.Alternating(1), 1, 1),
        (schedules.Alternating(3), 3, 1),
        (schedules.Simultaneous(), 1, 1),
        (schedules.ThreePhase(2, 1, 3), 4, 5),
        (schedules.ThreeStep(), 2, 1),
    ],
)
def test_optimizers_count_the_updates(schedule, discriminator_updates, generator_updates):
    gan = tiny_gan(schedule=schedule)
    gan.fit(tiny_images(48), batch_size=24, epochs=2, verbose=0)
    assert int(gan.step.numpy()) == 4
    assert int(gan.d_optimizer.iterations.numpy()) == 4 * discriminator_updates
    assert int(gan.g_optimizer.iterations.numpy()) == 4 * generator_updates


def weights(model):
    return [w.tobytes() for w in model.get_weights()]


@pytest.mark.parametrize(
    "phase, moved, fixed",
    [((3, 0, 0), "generator", "discriminator"), ((0, 2, 0), "discriminator", "generator")],
)
def test_the_fixed_player_of_a_phase_does_not_change_by_a_bit(phase, moved, fixed):
    gan = tiny_gan(schedule=schedules.ThreePhase(*phase), discriminator=tiny_discriminator(batch_norm=True, dropout=0.3))
    before = {name: weights(getattr(gan, name)) for name in (moved, fixed)}
    gan.fit(tiny_images(), batch_size=24, verbose=0)
    assert weights(getattr(gan, fixed)) == before[fixed], "BatchNorm statistics included"
    assert all(a != b for a, b in zip(weights(getattr(gan, moved)), before[moved]))


def bilinear_game(schedule, steps=200):
    """Distance from the equilibrium of min_g max_d d * g, played with Wasserstein losses and linear players."""
    z = keras.Input((1,), name="z")
    # G(z) = 0 z + g: a point that ignores its latent. D(x) = d x.
    generator = keras.Model(z, Point()(z))
    x = keras.Input((1,), name="x")
    discriminator = keras.Model(x, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(x))
    gan = gan_keras.GAN(generator, discriminator)
    sgd = keras.optimizers.SGD
    with pytest.warns(UserWarning, match="Lipschitz"):
        gan.compile(sgd(0.1), sgd(0.1), loss="wasserstein", schedule=schedule)
    gan.fit(np.zeros((4 * steps, 1), "float32"), batch_size=4, verbose=0)
    return np.hypot(generator.get_weights()[0].item(), discriminator.get_weights()[0].item())


def test_simultaneous_spirals_out_where_alternating_stays_bounded():
    start = np.hypot(1.0, 1.0)
    # Each simultaneous step multiplies the distance by sqrt(1 + lr^2).
    assert bilinear_game("simultaneous") == pytest.approx(start * 1.01 ** (200 / 2), rel=1e-3)
    assert bilinear_game("alternating") < 1.2 * start


@pytest.mark.parametrize(
    "schedule",
    [schedules.Alternating(4), schedules.Simultaneous(), schedules.ThreePhase(1, 2, 3), schedules.ThreeStep()],
)
def test_serialization(schedule):
    copy = schedules.get(keras.saving.serialize_keras_object(schedule))
    assert type(copy) is type(schedule) and copy.get_config() == schedule.get_config()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: schedules.Alternating(0), "n_critic=0"),
        (lambda: schedules.Alternating(2.0), "n_critic=2.0"),
        (lambda: schedules.ThreePhase(0, 0, 0), "at least one update"),
        (lambda: schedules.get("alternate"), "Did you mean 'alternating'"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
