"""What is added to a player's loss (terms), and what is applied to the discriminator's weights after an update (projections).

A loss and a regularizer are independent choices: WGAN and WGAN-GP are the same loss with another regularizer. Families, one file
each: `gradients` are gradient penalties, `heads` read further outputs of the discriminator, `weights` look at the weights.
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
    """The regularizer of that name ("r1"), or the instance or saved config that was passed."""
    return identifiers.get("regularizer", Regularizer, _REGULARIZERS, identifier)


def get_all(identifiers):
    """A tuple of those of one identifier or several."""
    return tuple(map(get, identifiers if isinstance(identifiers, (list, tuple)) else [identifiers]))
