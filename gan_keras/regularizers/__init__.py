"""Regularizers: terms of a player's loss, and projections of the discriminator's weights after an update.

Loss and regularizer are independent choices: WGAN and WGAN-GP have the same loss and different regularizers. There is a file for
each family: `gradients` has gradient penalties, `heads` terms of other outputs of the discriminator, `weights` terms and
projections of the weights.
"""

from gan_keras import identifiers
from gan_keras.regularizers.base import Projection, Regularizer, Term
from gan_keras.regularizers.gradients import DRAGAN, R1, R2, GradientPenalty, GradientTerm
from gan_keras.regularizers.heads import Classification, Consistency, FeatureMatching, HeadTerm, MutualInformation
from gan_keras.regularizers.weights import HistoricalAveraging, WeightClipping

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "Classification",
    "Consistency",
    "FeatureMatching",
    "GradientPenalty",
    "GradientTerm",
    "HeadTerm",
    "HistoricalAveraging",
    "MutualInformation",
    "Projection",
    "Regularizer",
    "Term",
    "WeightClipping",
    "get",
    "get_all",
]

_REGULARIZERS = {
    "gradient_penalty": GradientPenalty,
    "r1": R1,
    "r2": R2,
    "dragan": DRAGAN,
    "weight_clipping": WeightClipping,
    "historical_averaging": HistoricalAveraging,
    "feature_matching": FeatureMatching,
    "mutual_information": MutualInformation,
    "classification": Classification,
    "consistency": Consistency,
}


def get(identifier):
    """The regularizer with this name, such as "r1"; or the instance or saved config that is passed.

    Raises:
        ValueError: The name is unknown, or it is no regularizer.
    """
    return identifiers.get("regularizer", Regularizer, _REGULARIZERS, identifier)


def get_all(identifiers):
    """A tuple of the regularizers of one identifier or a list of them."""
    return tuple(map(get, identifiers if isinstance(identifiers, (list, tuple)) else [identifiers]))
