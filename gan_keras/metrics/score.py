"""What a classifier's probabilities say of samples: recognisable, varied, and of the class that was asked for."""

import numpy as np

from gan_keras.metrics.arrays import vectors


def classifier_score(probabilities, batch=None):
    """Inception score with any classifier: how sure it is of each sample, and how varied its answers are; higher is better.

        exp(mean_i KL(p(y | x_i) || mean_j p(y | x_j))),    1 to the number of classes

    It looks at no real image and sees nothing inside a class: ten perfect, ever repeated digits have the full score. Compare
    it with the score of real images under the same classifier.

    Args:
        probabilities: (n, classes), rows that sum to 1; at least 2 rows.
        batch: `None` takes the whole set at once. A number takes the mean of the scores of consecutive batches of that size,
            the rest left out: TF-GAN's tutorial has 32, which holds the score of real digits down to about 8.4 of 10.

    Returns:
        float.

    Raises:
        ValueError: Rows that are no probabilities, or fewer than a batch.

    Salimans et al. 2016, "Improved Techniques for Training GANs", section 4. TF-GAN's MNIST tutorial for the batches.
    """
    if batch is not None and batch < 2:
        raise ValueError(f"batch must be 2 or more, or None. Received: batch={batch}")
    p = _probabilities(probabilities, at_least=batch or 2)
    size = batch or len(p)
    p = p[: len(p) // size * size].reshape(-1, size, p.shape[1])
    marginal = p.mean(axis=1, keepdims=True)
    divergences = (p * (_log(p) - _log(marginal))).sum(axis=2)
    return float(np.exp(divergences.mean(axis=1)).mean())


def class_shares(probabilities):
    """The share of samples whose likeliest class is each one.

    Beside that of real images it says whether a generator makes all classes equally well.

        share_y = mean_i [argmax p(. | x_i) = y]

    Args:
        probabilities: (n, classes), rows that sum to 1.

    Returns:
        Array (classes,) that sums to 1.

    Raises:
        ValueError: Rows that are no probabilities.
    """
    p = _probabilities(probabilities, at_least=1)
    return np.bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)


def label_accuracy(probabilities, labels):
    """Share of samples whose likeliest class is the label they were made for; 0 to 1, higher is better.

    For conditional models, beside `classifier_score`, which does not know what was asked for.

        mean_i [argmax_y p(y | x_i) = label_i]

    Args:
        probabilities: (n, classes), rows that sum to 1.
        labels: (n,) integers.

    Returns:
        float.

    Raises:
        ValueError: Rows that are no probabilities, or labels of another number or range.

    Shmelkov, Schmid, Alahari 2018, "How good is my GAN?", section 3: GAN-test.
    """
    p, labels = _labelled(probabilities, labels)
    return float((p.argmax(axis=1) == labels).mean())


def label_cross_entropy(probabilities, labels):
    """Mean cross-entropy of a classifier and the labels that samples were made for, in nats; 0 or more, lower is better.

    For conditional models: it sees doubt that the accuracy does not.

        mean_i -log p(label_i | x_i)

    Args:
        probabilities: (n, classes), rows that sum to 1; held above 1e-12.
        labels: (n,) integers.

    Returns:
        float.

    Raises:
        ValueError: Rows that are no probabilities, or labels of another number or range.

    Odena, Olah, Shlens 2017, AC-GAN, equation 3.
    """
    p, labels = _labelled(probabilities, labels)
    return float(-_log(p[np.arange(len(p)), labels]).mean())


def _log(p):
    return np.log(np.maximum(p, 1e-12))


def _probabilities(probabilities, at_least):
    p = vectors("probabilities", probabilities, at_least)
    if p.min() < -1e-6 or np.abs(p.sum(axis=1) - 1.0).max() > 1e-3:
        raise ValueError(
            f"probabilities must be 0 or more and sum to 1 in each row. Received: from {p.min():g} to {p.max():g}. Apply a softmax "
            "to logits first."
        )
    return p


def _labelled(probabilities, labels):
    p, labels = _probabilities(probabilities, at_least=1), np.asarray(labels)
    if labels.shape != (len(p),) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(
            f"labels must be {len(p)} integers from 0 to {p.shape[1] - 1}. Received: shape {labels.shape}, {labels.dtype}."
        )
    return p, labels
