"""A pair of Keras networks in PyTorch: the same layers, weights and step, as PyTorch's users write them.

Needs torch, which is no dependency of gan_keras, in its CPU build: see docs/performance.md.
"""

import importlib.util

if importlib.util.find_spec("triton"):  # of torch's CUDA builds: beside TensorFlow it ends the process, without an error
    raise ImportError("triton crashes beside TensorFlow: pip uninstall torch triton")

import keras
import numpy as np
import torch
from peers import check_plain
from torch import nn
from torch.nn import functional

from gan_keras.losses import Wasserstein


class Same(nn.Module):
    """A convolution with Keras' padding="same", which may be one wider at the end than at the beginning.

    Unless it is `exact`, as wide on both sides, as users of PyTorch write it: as much arithmetic, on pixels one further.
    """

    def __init__(self, convolution, exact):
        super().__init__()
        self.convolution, self.exact = convolution, exact

    def forward(self, x):
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        missing = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        before, after = missing // 2, missing - missing // 2
        if self.exact:
            return self.convolution(functional.pad(x, (before, after, before, after)))
        return functional.conv2d(x, self.convolution.weight, self.convolution.bias, stride, after)


class TransposedSame(nn.Module):
    """A transposed convolution with Keras' padding="same"; `exact` as in `Same`."""

    def __init__(self, convolution, exact):
        super().__init__()
        self.convolution, self.exact = convolution, exact

    def forward(self, x):
        weight, bias = self.convolution.weight, self.convolution.bias
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        over = kernel - stride
        if self.exact:
            size = x.shape[-1] * stride
            return functional.conv_transpose2d(x, weight, bias, stride, over // 2)[..., :size, :size]
        return functional.conv_transpose2d(x, weight, bias, stride, over - over // 2, over % 2)


class ToChannelsFirst(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(-1, *self.shape).permute(0, 3, 1, 2)


class FlattenChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)


def twin(network, exact=False):
    """The `torch.nn.Sequential` of a Functional Keras chain, with its weights. Images have their channels first.

    With `exact` it computes what the Keras network does; else paddings are those that users of PyTorch write.
    """
    modules = []
    for layer in network.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            modules += [module for module in (_module(layer, exact), _activation(layer)) if module is not None]
    return nn.Sequential(*modules).to(memory_format=torch.channels_last)


def _module(layer, exact):
    weights = [torch.tensor(np.array(w)) for w in layer.get_weights()]
    kind = type(layer).__name__
    if kind == "Dense":
        module = nn.Linear(*weights[0].shape, bias=layer.use_bias)
        tensors = [weights[0].T, *weights[1:]]
    elif kind in ("Conv2D", "Conv2DTranspose"):
        kernel = weights[0].permute(3, 2, 0, 1)
        first, second, size, _ = kernel.shape
        if kind == "Conv2D":
            module = nn.Conv2d(second, first, size, layer.strides[0], bias=layer.use_bias)
        else:
            module = nn.ConvTranspose2d(first, second, size, layer.strides[0], bias=layer.use_bias)
        tensors = [kernel, *weights[1:]]
    elif kind == "BatchNormalization":
        make = nn.BatchNorm1d if len(layer.input.shape) == 2 else nn.BatchNorm2d
        module = make(weights[0].shape[0], eps=layer.epsilon, momentum=1 - layer.momentum)
        tensors = weights[:2]
    elif kind == "LeakyReLU":
        return nn.LeakyReLU(layer.negative_slope)
    elif kind == "ReLU":
        return nn.ReLU()
    elif kind == "MaxPooling2D":
        return nn.MaxPool2d(layer.pool_size)
    elif kind == "Reshape":
        return ToChannelsFirst(layer.target_shape)
    elif kind == "Flatten":
        return FlattenChannelsLast()
    else:
        raise ValueError(f"The twin has no {kind}. Add it to scripts/lab/torch_twin.py.")
    with torch.no_grad():
        for parameter, tensor in zip(module.parameters(), tensors, strict=True):
            parameter.copy_(tensor)
    wrap = {"Conv2D": Same, "Conv2DTranspose": TransposedSame}.get(kind)
    return wrap(module, exact) if wrap else module


def _activation(layer):
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if type(layer).__name__ in ("LeakyReLU", "ReLU") or name == "linear":
        return None
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[name]()


class Twin:
    """The pair and its training step, with the loss and the penalty of a `GAN`: non-saturating or Wasserstein, R1 or GP.

    Args:
        gan: A compiled `GAN` whose weights are taken.
        compiled: Whether the networks go through `torch.compile`; not where the slope of a penalty is taken, whose second
            derivatives it does not know (2.13).
        exact: As in `twin`.

    Raises:
        ValueError: The GAN has another loss, penalty or schedule.
    """

    def __init__(self, gan, compiled=False, exact=False):
        check_plain(gan)
        self.generator, self.discriminator = twin(gan.generator, exact), twin(gan.discriminator, exact)
        self.latent_dim = gan.latent_dim
        self.n_critic = gan.schedule.batches_per_step
        self.wasserstein = isinstance(gan.adversarial_loss, Wasserstein)
        self.penalties = {r.name: r for r in gan.game_regularizers}
        self.optimizers = [
            torch.optim.Adam(
                network.parameters(),
                float(optimizer.learning_rate),
                (optimizer.beta_1, optimizer.beta_2),
                optimizer.epsilon,
            )
            for network, optimizer in (
                (self.discriminator, gan.d_optimizer),
                (self.generator, gan.g_optimizer),
            )
        ]
        self.average = None
        if gan.ema:
            self.decay = gan.ema
            self.average = [parameter.detach().clone() for parameter in self.generator.state_dict().values()]
        self.generate, self.score = self.generator, self.discriminator
        if compiled:
            # One cache serves all networks of a process, and where it is full they would run uncompiled without a word.
            torch._dynamo.reset()
            torch._dynamo.config.fail_on_recompile_limit_hit = True
            self.generate, self.score = (torch.compile(n, dynamic=False) for n in (self.generator, self.discriminator))

    def d_loss(self, real, z, u=None):
        """The discriminator's loss on real images and latents; `u` are the places between them of the gradient penalty."""
        with torch.no_grad():
            fake = self.generate(z)
        real_scores, fake_scores = self.score(real), self.score(fake)
        if self.wasserstein:
            loss = fake_scores.mean() - real_scores.mean()
        else:
            loss = functional.softplus(-real_scores).mean() + functional.softplus(fake_scores).mean()
        if "r1" in self.penalties:
            r1 = self.penalties["r1"]
            loss = loss + r1.weight / 2 * self._squared_slopes(real[:: r1.one_in]).mean()
        if "gradient_penalty" in self.penalties:
            between = real + u * (fake - real)
            slopes = torch.sqrt(self._squared_slopes(between) + 1e-12)
            loss = loss + self.penalties["gradient_penalty"].weight * ((slopes - 1) ** 2).mean()
        return loss

    def g_loss(self, z):
        scores = self.score(self.generate(z))
        return -scores.mean() if self.wasserstein else functional.softplus(-scores).mean()

    def _squared_slopes(self, images):
        images = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(images).sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3))

    def step(self, images):
        """One training step on images (n, channels, height, width)."""
        d_optimizer, g_optimizer = self.optimizers
        for k in range(self.n_critic):
            real = images[k :: self.n_critic]
            u = torch.rand(len(real), 1, 1, 1) if "gradient_penalty" in self.penalties else None
            d_optimizer.zero_grad()
            loss = self.d_loss(real, torch.randn(len(real), self.latent_dim), u)
            loss.backward()
            d_optimizer.step()
        g_optimizer.zero_grad()
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(False)
        self.g_loss(torch.randn(len(real), self.latent_dim)).backward()
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(True)
        g_optimizer.step()
        if self.average:
            with torch.no_grad():
                for average, parameter in zip(self.average, self.generator.state_dict().values()):
                    if average.is_floating_point():
                        average.lerp_(parameter, 1 - self.decay)
        return loss
