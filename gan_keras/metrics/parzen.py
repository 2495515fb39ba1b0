"""Parzen-window log-likelihood: the metric of the first GAN papers."""

import numpy as np
import scipy

from gan_keras.metrics.arrays import squared_distances, vectors


BANDWIDTHS = np.logspace(-1, 0, 10)  # of the authors' parzen_ll.py


def parzen_log_likelihood(test, samples, bandwidth):
    """Mean log-likelihood of test images under Gaussians around samples, and its standard error; higher is better, in nats.

        log p(x) = log mean_i exp(-|x - s_i|^2 / (2 h^2)) - d log(h sqrt(2 pi))

    Only for comparison with papers that report it. In 784 dimensions it is misleading: k-means centroids are better than real
    digits (Theis, van den Oord, Bethge 2016), so report both with it, and trust other metrics more.

    Args:
        test: Images (n, ...) in [0, 1], not binarised.
        samples: Images (m, ...) in [0, 1]; Goodfellow et al. have 10,000.
        bandwidth: h, above 0, from `choose_bandwidth` on validation images.

    Returns:
        (mean, standard error over the test images): floats.

    Raises:
        ValueError: bandwidth not above 0, pixels outside [0, 1], different shapes, NaN.

    Goodfellow et al. 2014, section 5, and the authors' parzen_ll.py. Breuleux, Bengio, Vincent 2011 for the estimator.
    """
    likelihoods = _log_likelihoods(test, samples, [bandwidth])[0]
    return float(likelihoods.mean()), float(likelihoods.std() / np.sqrt(len(likelihoods)))


def choose_bandwidth(validation, samples, bandwidths=BANDWIDTHS):
    """The bandwidth with the highest likelihood of validation images.

    Args:
        validation: Images (n, ...) in [0, 1] that the model was not trained on; Goodfellow et al. have 1,000.
        samples: As in `parzen_log_likelihood`.
        bandwidths: Candidates; the default is the authors' list.

    Returns:
        float.
    """
    means = [likelihoods.mean() for likelihoods in _log_likelihoods(validation, samples, bandwidths)]
    return float(bandwidths[int(np.argmax(means))])


def _log_likelihoods(test, samples, bandwidths):
    """Array (bandwidths, test images)."""
    bandwidths = np.asarray(bandwidths, float)
    if not (len(bandwidths) and (bandwidths > 0).all() and np.isfinite(bandwidths).all()):
        raise ValueError(f"A bandwidth must be above 0 and finite. Received: {bandwidths}")
    samples = vectors("samples", samples)
    test = vectors("test", test, width=samples.shape[1])
    if min(samples.min(), test.min()) < -1e-6 or max(samples.max(), test.max()) > 1 + 1e-6:
        raise ValueError(
            f"Images must be in [0, 1]. Received: from {min(samples.min(), test.min()):g} to {max(samples.max(), test.max()):g}. "
            "Divide uint8 by 255; add 1 to images in [-1, 1] and halve them."
        )
    result = np.empty((len(bandwidths), len(test)))
    for part, distances in squared_distances(test, samples):
        for row, h in zip(result, bandwidths):
            row[part] = scipy.special.logsumexp(distances * (-0.5 / h**2), axis=1) - np.log(len(samples))
    return result - test.shape[1] * np.log(bandwidths * np.sqrt(2 * np.pi))[:, np.newaxis]
