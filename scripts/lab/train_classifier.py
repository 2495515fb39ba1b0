"""Train the digit classifier that quality is measured with, on the 60,000 training digits. See docs/evaluation.md."""

import pathlib
import sys

from lab import common  # first: it sets the environment up

import keras
import tensorflow as tf
from keras import layers

from gan_keras import classifier, data


def augmentation():
    """Digits stay what they are under these: two pixels, ten degrees, a tenth of the size."""
    return (
        layers.RandomTranslation(2 / 28, 2 / 28, fill_mode="constant", seed=1),
        layers.RandomRotation(10 / 360, fill_mode="constant", seed=2),
        layers.RandomZoom(0.1, 0.1, fill_mode="constant", seed=3),
    )


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("--out", required=True, metavar="FILE", help="where to write the weights, a .weights.h5 file")
    parser.add_argument("--epochs", type=common.between(1, 1000), default=12, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch-size", type=common.between(1, 60_000), default=128, metavar="B", help="default: %(default)s")
    parser.add_argument("--seed", type=common.SEED, default=0, metavar="S", help="default: %(default)s")
    args = parser.parse_args(argv)
    if not args.out.endswith(".weights.h5"):
        raise ValueError(f"--out must end in .weights.h5. Received: {args.out}")
    if pathlib.Path(args.out).exists():
        raise ValueError(f"{args.out} exists. Choose another --out.")
    if not pathlib.Path(args.out).absolute().parent.is_dir():
        raise ValueError(f"There is no folder {pathlib.Path(args.out).parent}. Make it first.")
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    images, labels = data.load("mnist", "train")
    stream = data.batches(images, labels, args.batch_size, value_range=(0.0, 1.0), seed=args.seed)
    steps = len(images) // args.batch_size

    network = classifier.build()
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for layer in augmentation():
        x = layer(x)
    model = keras.Model(inputs, network(x)[1])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, args.epochs * steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    print(f"Training {network.count_params():,} weights on {len(images):,} digits, {args.epochs} epochs.")
    verbose = 1 if sys.stdout.isatty() else 2
    # The stream is shuffled; Keras warns of any other word on it.
    model.fit(stream, epochs=args.epochs, steps_per_epoch=steps, shuffle=False, verbose=verbose)

    images, labels = data.load("mnist", "test")
    _, logits = network.predict(images / 255.0, batch_size=500, verbose=0)
    network.save_weights(args.out)
    print(
        f"Test accuracy {(logits.argmax(1) == labels).mean():.2%}. {pathlib.Path(args.out).stat().st_size:,} bytes: {args.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
