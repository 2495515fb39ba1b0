"""The rows of the losses: their order, and what a critic estimates."""

import dataclasses
import itertools
import time

import keras

import gan_keras
from gan_keras import data, identity, losses, metrics, networks, recipes, regularizers, schedules
from gan_keras.toys import TOYS
from rows.base import Row, digits_evaluator, quality, trained

# Each with the regularizer of its paper, as in Lucic et al.; batches of 64 as there.
LOSSES = {
    "minimax": dict(loss=losses.Minimax()),
    "non-saturating": dict(loss=losses.NonSaturating()),
    "least squares": dict(loss=losses.LeastSquares()),
    "WGAN": dict(loss=losses.Wasserstein(), regularizers=(regularizers.WeightClipping(0.01),)),
    "WGAN-GP": dict(loss=losses.Wasserstein(), regularizers=(regularizers.GradientPenalty(10.0),)),
    "DRAGAN": dict(loss=losses.NonSaturating(), regularizers=(regularizers.DRAGAN(10.0),)),
    "non-saturating with R1": dict(loss=losses.NonSaturating(), regularizers=(regularizers.R1(1.0),)),
}
LOSS_UPDATES, BATCH = 1000, 64
CRITIC_UPDATES = 3000


def order_of_losses(seed):
    evaluator, cases = digits_evaluator(), {}
    for case, parts in LOSSES.items():
        recipe = dataclasses.replace(
            recipes.get("plain"),
            **{"regularizers": (), **parts},
            batch_size=BATCH,
        )
        gan, seconds = trained(recipe, seed, steps=LOSS_UPDATES)
        cases[case] = {**quality(gan, evaluator, seed), "seconds": seconds}
    return cases


def critic(seed):
    """Two sets of points on a line, a generator that stays where it is, and a critic that is trained to tell them apart."""
    cases = {}
    for shift, one_sided in itertools.product((0.5, 1.0, 2.0), (False, True)):
        points, _ = TOYS["gaussians"].sample(4096, seed=seed)
        z = keras.Input((1,))
        # The generator moves a standard normal: its distance to the toy is known exactly from the samples.
        generator = keras.Model(
            z, keras.layers.Rescaling(1.0, offset=shift)(keras.layers.Dense(1, kernel_initializer="ones")(z))
        )
        keras.utils.set_random_seed(seed)
        gan = gan_keras.GAN(generator, networks.points_discriminator(shape=(1,), width=64, depth=3), seed=seed)
        gan.compile(
            keras.optimizers.get(recipes.adam(recipes.cosine_decay(1e-3, CRITIC_UPDATES), 0.5, 0.9)),
            keras.optimizers.SGD(0.0),
            loss=losses.Wasserstein(),
            regularizers=regularizers.GradientPenalty(10.0, one_sided=one_sided),
            schedule=schedules.Alternating(),
        )
        started = time.perf_counter()
        gan.fit(data.batches(points, batch_size=256, value_range=None, seed=seed), steps_per_epoch=CRITIC_UPDATES, verbose=0)
        fake, fresh = gan.sample(20_000, seed=seed), TOYS["gaussians"].sample(20_000, seed=seed + 100)[0]
        scores = [gan.discriminator.predict(x, batch_size=2000, verbose=0).mean() for x in (fresh, fake)]
        exact = metrics.wasserstein_1d(fresh[:, 0], fake[:, 0])
        estimate = float(scores[0] - scores[1])
        cases[f"shift {shift:g}, {'one' if one_sided else 'two'}-sided"] = {
            "exact": exact,
            "estimate": estimate,
            "ratio": estimate / exact,
            "seconds": time.perf_counter() - started,
        }
    return cases


ROWS = [
    Row(
        name="losses",
        title="Order of the losses at equal budget",
        source="Lucic et al. 2018, Are GANs Created Equal?",
        protocol=(
            "the same networks, optimizer and number of discriminator updates for each loss; Frechet distance of 10,000 "
            "samples to the 10,000 test digits"
        ),
        published=(
            "FID, best of a wide search: WGAN 6.7, non-saturating 6.8, DRAGAN 7.6, LSGAN 7.8, minimax 9.8, WGAN-GP 20.3"
        ),
        differs=(
            f"the distance is that of our classifier, so only the order can be compared; {LOSS_UPDATES:,} updates of the "
            "networks of the recipe plain, instead of 15,625 and a search; one update of the discriminator for each of the generator; "
            "16 latents; Adam 1e-3 (0, .99) and a moving average for all"
        ),
        run=order_of_losses,
        figures={"frechet_distance": "{:.2f}", "coverage": "{:.3f}", "precision": "{:.3f}", "recall": "{:.3f}"},
        uses=("plain",),
        constants={"updates": LOSS_UPDATES, "batch": BATCH, "cases": identity.describe(LOSSES)},
    ),
    Row(
        name="critic",
        title="The critic's estimate against the exact Wasserstein distance",
        source="Arjovsky et al. 2017, equation 2; Gulrajani et al. 2017",
        protocol=(
            "points on a line, three Gaussians against a shifted normal; mean D(real) - mean D(fake) on 20,000 new points, "
            "divided by the exact distance"
        ),
        published="the ratio of a 1-Lipschitz critic is 1 at most",
        differs=(
            "the toy is ours. The penalty allows slopes a little above 1: with the best slope, the ratios are 1.07, 1.08 and "
            "1.13. The paper's penalty is two-sided: on a line, a slope of -1 satisfies it too, and a critic may stay there; with a "
            "negative slope everywhere, the ratios are 0.22, 0.60 and 1.10 (docs/methods/wgan.md, \"The critic's estimate on a "
            'line"). The one-sided penalty of Petzka et al. 2018 has no such minimum'
        ),
        run=critic,
        figures={"exact": "{:.3f}", "estimate": "{:.3f}", "ratio": "{:.3f}"},
        constants={"updates": CRITIC_UPDATES},
    ),
]
