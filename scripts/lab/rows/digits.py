"""The row of the default recipe's digits beside real ones."""

from gan_keras import metrics, plots, recipes
from rows.base import Row, digits_evaluator, mean, picture, trained


def score_ratio(seed):
    gan, seconds = trained(recipes.get("default"), seed)
    evaluator = digits_evaluator()
    samples = evaluator.sample(gan, 10_000, seed)
    real = evaluator.reference.probabilities
    scores = {
        batch: [metrics.classifier_score(p, batch) for p in (samples.probabilities, real)] for batch in (32, None)
    }
    picture("default", seed, lambda path: plots.grid(samples.images[:100]).save(path))
    figures = {
        "score": scores[32][0],
        "ratio": scores[32][0] / scores[32][1],
        "ratio_whole": scores[None][0] / scores[None][1],
    }
    return {"default": {**figures, "seconds": seconds}, "test digits": {"score": scores[32][1]}}


ROWS = [
    Row(
        name="score_ratio",
        title="Classifier score of samples over that of real digits",
        source="TF-GAN's MNIST tutorial",
        protocol="mean over batches of 32 of 10,000 samples, over the same of the 10,000 test digits",
        published="7.51 / 8.36 = 0.90 after 5,000 steps of batch 32",
        differs="our classifier, on both sides of the ratio; the default recipe",
        run=score_ratio,
        figures={"score": "{:.3f}", "ratio": "{:.3f}", "ratio_whole": "{:.3f}"},
        goal=("default", "ratio", "0.98 or better, mean", lambda runs: mean(runs, "ratio") >= 0.98),
        uses=("default",),
        pictures=("default",),
    ),
]
