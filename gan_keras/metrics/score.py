"""Metrics of a classifier's probabilities: are samples recognisable, varied, and of the requested class?"""

import numpy as np

from gan_keras.metrics.arrays import vectors


def classifier_score(probabilities, batch=None):
    """The Inception score with any classifier: how confident and how varied its predictions are; higher is better.

        exp(mean_i KL(p(y | x_i) || mean_j p(y | x_j))),    1 to the number of classes

    It uses no real images, and does not see variety inside a class: ten perfect digits, repeated, have the full score. Compare
    it with the score of real images for the same classifier.

    Args:
        probabilities: (n, classes), rows that sum to 1; at least 2 rows.
        batch: `None`: the score of the whole set. Integer: the mean of the scores of consecutive batches of this size, without the
            rest. TF-GAN's tutorial has 32, with which real digits have a score of about 8.4 of 10.

    Returns:
        float.

    Raises:
        ValueError: Rows that are not probabilities, or fewer than a batch.

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
    """The fraction of samples in each class, by the most likely class.

    Compare it with that of real images, to see whether classes are missing or rare.

        share_y = mean_i [argmax p(. | x_i) = y]

    Args:
        probabilities: (n, classes), rows that sum to 1.

    Returns:
        Array (classes,) that sums to 1.

    Raises:
        ValueError: Rows that are not probabilities.
    """
    p = _probabilities(probabilities, at_least=1)
    return np.bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)


def label_accuracy(probabilities, labels):
    """Fraction of samples whose most likely class is their label; 0 to 1, higher is better.

    For conditional models, in addition to `classifier_score`, which does not use labels.

        mean_i [argmax_y p(y | x_i) = label_i]

    Args:
        probabilities: (n, classes), rows that sum to 1.
        labels: (n,) integers.

    Returns:
        float.

    Raises:
        ValueError: Rows that are not probabilities, or labels of another number or range.

    Shmelkov, Schmid, Alahari 2018, "How good is my GAN?", section 3: GAN-test.
    """
    p, labels = _labelled(probabilities, labels)
    return float((p.argmax(axis=1) == labels).mean())


def label_cross_entropy(probabilities, labels):
    """Mean cross-entropy of a classifier and the labels of samples, in nats; 0 or more, lower is better.

    For conditional models. Unlike the accuracy, it includes the confidence.

        mean_i -log p(label_i | x_i)

    Args:
        probabilities: (n, classes), rows that sum to 1; values below 1e-12 count as 1e-12.
        labels: (n,) integers.

    Returns:
        float.

    Raises:
        ValueError: Rows that are not probabilities, or labels of another number or range.

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
