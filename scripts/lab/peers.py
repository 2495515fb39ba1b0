"""What the benchmark compares gan_keras with: other people's steps and networks, rebuilt from their descriptions.

`GuideGAN` and `guide_networks` follow Keras' guide "DCGAN to generate face images" and its twin on overriding `train_step`;
`tutorial_networks` and `TutorialGAN` follow TensorFlow's DCGAN tutorial. `plain_step` is our own step without our
machinery; torch_twin.py has it in PyTorch.
"""

import keras
import tensorflow as tf
from keras import layers

from gan_keras.clustered import ClusteredGAN
from gan_keras.losses import Wasserstein


class GuideGAN(keras.Model):
    """The training step of Keras' guide: real and generated images in one batch, label noise, new latents for the generator."""

    def __init__(self, generator, discriminator, noise=0.05):
        super().__init__()
        self.generator, self.discriminator, self.noise = generator, discriminator, noise
        self.latent_dim = generator.inputs[0].shape[-1]
        self.seeds = keras.random.SeedGenerator(1337)
        self.built = True

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        super().compile(**kwargs)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss, self.g_loss]

    def latents(self, size):
        return keras.random.normal((size, self.latent_dim), seed=self.seeds)

    def update(self, optimizer, network, tape, loss):
        weights = network.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    def logs(self, d_loss, g_loss):
        self.d_loss.update_state(d_loss)
        self.g_loss.update_state(g_loss)
        return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}

    def train_step(self, real):
        size = tf.shape(real)[0]
        fake = self.generator(self.latents(size), training=True)
        both = tf.concat([fake, real], axis=0)
        labels = tf.concat([tf.ones((size, 1)), tf.zeros((size, 1))], axis=0)
        labels += self.noise * keras.random.uniform(tf.shape(labels), seed=self.seeds)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(both, training=True))
        self.update(self.d_optimizer, self.discriminator, tape, d_loss)

        z = self.latents(size)
        with tf.GradientTape() as tape:
            scores = self.discriminator(self.generator(z, training=True), training=True)
            g_loss = self.loss_fn(tf.zeros((size, 1)), scores)
        self.update(self.g_optimizer, self.generator, tape, g_loss)
        return self.logs(d_loss, g_loss)


class GuideWGAN(GuideGAN):
    """The training step of Keras' WGAN-GP example, with the interpolation put right (it draws N(0, 1))."""

    def __init__(self, generator, discriminator, n_critic=5, weight=10.0):
        super().__init__(generator, discriminator)
        self.n_critic, self.weight = n_critic, weight

    def gradient_penalty(self, size, real, fake):
        between = real + keras.random.uniform((size, 1, 1, 1), seed=self.seeds) * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            scores = self.discriminator(between, training=True)
        slopes = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(scores, [between])[0]), axis=[1, 2, 3]) + 1e-12)
        return tf.reduce_mean((slopes - 1.0) ** 2)

    def train_step(self, real):
        size = tf.shape(real)[0]
        for _ in range(self.n_critic):
            z = self.latents(size)
            with tf.GradientTape() as tape:
                fake = self.generator(z, training=True)
                scores = self.discriminator(fake, training=True), self.discriminator(real, training=True)
                d_loss = tf.reduce_mean(scores[0]) - tf.reduce_mean(scores[1])
                d_loss += self.weight * self.gradient_penalty(size, real, fake)
            self.update(self.d_optimizer, self.discriminator, tape, d_loss)
        z = self.latents(size)
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(self.discriminator(self.generator(z, training=True), training=True))
        self.update(self.g_optimizer, self.generator, tape, g_loss)
        return self.logs(d_loss, g_loss)


class TutorialGAN(GuideGAN):
    """The training step of TensorFlow's DCGAN tutorial: both gradients at the same point, from one batch of images."""

    def train_step(self, real):
        z = self.latents(tf.shape(real)[0])
        with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
            fake = self.generator(z, training=True)
            real_scores, fake_scores = self.discriminator(real, training=True), self.discriminator(fake, training=True)
            g_loss = self.loss_fn(tf.ones_like(fake_scores), fake_scores)
            d_loss = self.loss_fn(tf.ones_like(real_scores), real_scores)
            d_loss += self.loss_fn(tf.zeros_like(fake_scores), fake_scores)
        g_gradients = g_tape.gradient(g_loss, self.generator.trainable_variables)
        d_gradients = d_tape.gradient(d_loss, self.discriminator.trainable_variables)
        self.g_optimizer.apply_gradients(zip(g_gradients, self.generator.trainable_variables))
        self.d_optimizer.apply_gradients(zip(d_gradients, self.discriminator.trainable_variables))
        return self.logs(d_loss, g_loss)


def guide_networks():
    """Generator (128 latents, images in [0, 1]) and discriminator of Keras' guide for 28x28 images."""
    generator = keras.Sequential(
        [
            keras.Input((128,)),
            layers.Dense(7 * 7 * 128),
            layers.LeakyReLU(0.2),
            layers.Reshape((7, 7, 128)),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(1, 7, padding="same", activation="sigmoid"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(64, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ]
    )
    return generator, discriminator


def tutorial_networks():
    """Generator (100 latents, images in [-1, 1]) and discriminator of TensorFlow's DCGAN tutorial."""
    generator = keras.Sequential(
        [
            keras.Input((100,)),
            layers.Dense(7 * 7 * 256, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.3),
            layers.Reshape((7, 7, 256)),
            layers.Conv2DTranspose(128, 5, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.3),
            layers.Conv2DTranspose(64, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.3),
            layers.Conv2DTranspose(1, 5, strides=2, padding="same", use_bias=False, activation="tanh"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(64, 5, strides=2, padding="same"),
            layers.LeakyReLU(0.3),
            layers.Dropout(0.3),
            layers.Conv2D(128, 5, strides=2, padding="same"),
            layers.LeakyReLU(0.3),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    return generator, discriminator


def check_plain(gan):
    """Raise ValueError unless the game of a `GAN` is one that the plain step knows."""
    check_game(gan, "The plain step", ["Alternating"], ["R1", "GradientPenalty"], labels=gan.needs_labels)


def check_game(gan, who, schedules, terms, labels):
    loss, schedule = type(gan.adversarial_loss).__name__, type(gan.schedule).__name__
    other = [
        type(r).__name__
        for r in gan.game_regularizers
        if type(r).__name__ not in terms
        or callable(r.weight)
        or type(r).__name__ == "GradientPenalty"
        and (r.one_sided or r.one_in != 1)
    ]
    if loss == "NonSaturating" and gan.adversarial_loss.label_smoothing:
        other.append("label_smoothing")
    if loss not in ("NonSaturating", "Wasserstein") or schedule not in schedules or other or labels:
        raise ValueError(
            f"{who} is {' or '.join(schedules)}, NonSaturating or Wasserstein, without labels, with {', '.join(terms)} of constant "
            f"weights; a two-sided GradientPenalty. Received: {loss}, {schedule}, {other or 'no other part'}, "
            f"num_classes={gan.num_classes}."
        )


def described(gan):
    """A compiled `GAN` as plain values and arrays, of which torch_twin.py makes the same in PyTorch.

    Raises:
        ValueError: It is a game that the twin does not know.
    """
    clustered = isinstance(gan, ClusteredGAN)
    known = ["Alternating", "Simultaneous"], ["R1", "GradientPenalty", "Classification"]
    check_game(gan, "The twin", *known, labels=gan.num_classes is not None and not clustered)
    return {
        "generator": {**described_network(gan.generator), "adam": described_adam(gan.g_optimizer)},
        "discriminator": {**described_network(gan.discriminator), "adam": described_adam(gan.d_optimizer)},
        "latent_dim": gan.latent_dim,
        "clusters": gan.num_classes if clustered else 0,  # the last dimensions of the latents
        "n_critic": gan.schedule.batches_per_step,
        "simultaneous": type(gan.schedule).__name__ == "Simultaneous",
        "ema": gan.ema,
        "wasserstein": isinstance(gan.adversarial_loss, Wasserstein),
        "terms": {r.name: {"weight": r.weight, "one_in": r.one_in} for r in gan.game_regularizers},
    }


def described_network(network):
    """The layers of a Functional model in order, each with the names of those that it is called on; its inputs and outputs."""
    config, known = network.get_config(), {layer.name: layer for layer in network.layers}
    calls = [
        {
            "name": layer["name"],
            "kind": layer["class_name"],
            "config": layer["config"],
            "arguments": _plain(layer["inbound_nodes"][0]["args"]),
            "weights": known[layer["name"]].get_weights() if layer["name"] in known else [],
            "rank": len(known[layer["name"]].input.shape) if layer["class_name"] == "BatchNormalization" else None,
        }
        for layer in config["layers"]
        if layer["inbound_nodes"]
    ]
    outputs = config["output_layers"]
    outputs = {name: of for name, (of, *_) in outputs.items()} if isinstance(outputs, dict) else outputs[0]
    return {"calls": calls, "inputs": [tensor.name for tensor in network.inputs], "outputs": outputs}


def _plain(argument):
    """An argument of a call in the configuration of a Functional model: a tensor is the name of its layer, a slice its ends."""
    if isinstance(argument, (list, tuple)):
        return [_plain(part) for part in argument]
    if argument["class_name"] == "__keras_tensor__":
        return argument["config"]["keras_history"][0]
    return argument["config"]["start"], argument["config"]["stop"]


def described_adam(optimizer):
    rate, betas = float(optimizer.learning_rate), (optimizer.beta_1, optimizer.beta_2)
    return {"lr": rate, "betas": betas, "eps": optimizer.epsilon}


def squared_slopes(discriminator, images):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = discriminator(images, training=True)
    return tf.reduce_sum(tf.square(tape.gradient(scores, images)), axis=[1, 2, 3])


def plain_d_loss(gan, real, fake):
    discriminator, penalties = gan.discriminator, {r.name: r for r in gan.game_regularizers}
    real_scores, fake_scores = discriminator(real, training=True), discriminator(fake, training=True)
    if isinstance(gan.adversarial_loss, Wasserstein):
        loss = tf.reduce_mean(fake_scores) - tf.reduce_mean(real_scores)
    else:
        loss = tf.reduce_mean(tf.nn.softplus(-real_scores)) + tf.reduce_mean(tf.nn.softplus(fake_scores))
    if "r1" in penalties:
        r1 = penalties["r1"]
        loss += r1.weight / 2 * tf.reduce_mean(squared_slopes(discriminator, real[:: r1.one_in]))
    if "gradient_penalty" in penalties:
        between = real + tf.random.uniform((real.shape[0], 1, 1, 1)) * (fake - real)
        slopes = tf.sqrt(squared_slopes(discriminator, between) + 1e-12)
        loss += penalties["gradient_penalty"].weight * tf.reduce_mean((slopes - 1.0) ** 2)
    return loss


def plain_step(gan):
    """The step of a compiled `GAN` by hand: alternating, non-saturating or Wasserstein, R1 or gradient penalty; a `tf.function`.

    Nothing of `keras.Model`, no metrics: what a user of TensorFlow writes in a loop.
    """
    check_plain(gan)
    generator, discriminator = gan.generator, gan.discriminator
    wasserstein, n_critic = isinstance(gan.adversarial_loss, Wasserstein), gan.schedule.batches_per_step

    def step(images):
        for k in range(n_critic):
            real = images[k::n_critic]
            z = tf.random.normal((real.shape[0], gan.latent_dim))
            fake = generator(z, training=True)
            with tf.GradientTape() as tape:
                loss = plain_d_loss(gan, real, fake)
            variables = discriminator.trainable_variables
            gradients = tape.gradient(loss, variables)
            with tf.control_dependencies([loss, *gradients]):  # else they may read weights that are already updated
                gan.d_optimizer.apply_gradients(zip(gradients, variables))
        z = tf.random.normal((real.shape[0], gan.latent_dim))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in generator.trainable_variables])
            scores = discriminator(generator(z, training=True), training=True)
            g_loss = -tf.reduce_mean(scores) if wasserstein else tf.reduce_mean(tf.nn.softplus(-scores))
        variables = generator.trainable_variables
        gradients = tape.gradient(g_loss, variables)
        with tf.control_dependencies([g_loss, *gradients]):
            gan.g_optimizer.apply_gradients(zip(gradients, variables))
        if gan.ema_generator is not None:
            for average, weight in zip(gan.ema_generator.weights, generator.weights):
                average.assign_add((1 - gan.ema) * (weight - average))
        return loss

    return tf.function(step, autograph=False)


def stock_tutorial_discriminator():
    """`gan_keras.networks.tutorial_discriminator` in the tutorial's order of layers: LeakyReLU before the pooling."""
    images = x = keras.Input((28, 28, 1))
    for filters in (16, 32, 64):
        x = layers.MaxPooling2D(2)(layers.LeakyReLU(0.2)(layers.Conv2D(filters, 3, padding="same")(x)))
    return keras.Model(images, layers.Dense(1)(layers.Flatten()(x)))
