"""A pair of Keras networks in PyTorch: the same layers, weights and step, as PyTorch's users write them.

The benchmark runs it as a program, in a process without TensorFlow: triton, which comes with torch's CUDA builds, ends a process
that has both. So it takes the pair as plain values, as `peers.described` makes them. Needs torch, which is no dependency of
gan_keras: see docs/performance.md.
"""

import os
import pickle
import sys

import torch
from clock import in_a_loop
from torch import nn
from torch.nn import functional


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


def twin(layers, exact=False):
    """The `torch.nn.Sequential` of the described layers, with their weights. Images have their channels first.

    With `exact` it computes what the Keras network does; else paddings are those that users of PyTorch write.
    """
    modules = [module for layer in layers for module in (_module(layer, exact), _activation(layer)) if module is not None]
    return nn.Sequential(*modules).to(memory_format=torch.channels_last)


def _module(layer, exact):
    kind, config = layer["kind"], layer["config"]
    weights = [torch.tensor(w) for w in layer["weights"]]
    if kind == "Dense":
        module = nn.Linear(*weights[0].shape, bias=config["use_bias"])
        tensors = [weights[0].T, *weights[1:]]
    elif kind in ("Conv2D", "Conv2DTranspose"):
        kernel = weights[0].permute(3, 2, 0, 1)
        first, second, size, _ = kernel.shape
        stride = config["strides"][0]
        if kind == "Conv2D":
            module = nn.Conv2d(second, first, size, stride, bias=config["use_bias"])
        else:
            module = nn.ConvTranspose2d(first, second, size, stride, bias=config["use_bias"])
        tensors = [kernel, *weights[1:]]
    elif kind == "BatchNormalization":
        make = nn.BatchNorm1d if layer["rank"] == 2 else nn.BatchNorm2d
        module = make(weights[0].shape[0], eps=config["epsilon"], momentum=1 - config["momentum"])
        tensors = weights[:2]
    elif kind == "LeakyReLU":
        return nn.LeakyReLU(config["negative_slope"])
    elif kind == "ReLU":
        return nn.ReLU()
    elif kind == "MaxPooling2D":
        return nn.MaxPool2d(config["pool_size"])
    elif kind == "Reshape":
        return ToChannelsFirst(config["target_shape"])
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
    name = layer["config"].get("activation", "linear")
    return None if name == "linear" else {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[name]()


class Twin:
    """The pair and its training step, with the loss and the penalty of a `GAN`: non-saturating or Wasserstein, R1 or GP.

    Args:
        described: The pair, its optimizers and its game, as `peers.described` tells them.
        compiled: Whether the networks go through `torch.compile`; not where the slope of a penalty is taken, whose second
            derivatives it does not know (2.13).
        exact: As in `twin`.
    """

    def __init__(self, described, compiled=False, exact=False):
        networks = [twin(described[player]["layers"], exact) for player in ("discriminator", "generator")]
        self.discriminator, self.generator = networks
        self.optimizers = [
            torch.optim.Adam(network.parameters(), **described[player]["adam"])
            for network, player in zip(networks, ("discriminator", "generator"))
        ]
        self.latent_dim, self.n_critic, self.ema = (described[name] for name in ("latent_dim", "n_critic", "ema"))
        self.wasserstein, self.penalties = described["wasserstein"], described["penalties"]
        self.average = None
        if self.ema:
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
            loss = loss + r1["weight"] / 2 * self._squared_slopes(real[:: r1["one_in"]]).mean()
        if "gradient_penalty" in self.penalties:
            between = real + u * (fake - real)
            slopes = torch.sqrt(self._squared_slopes(between) + 1e-12)
            loss = loss + self.penalties["gradient_penalty"]["weight"] * ((slopes - 1) ** 2).mean()
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
                        average.lerp_(parameter, 1 - self.ema)
        return loss


def serve(asked, told):
    """Make a twin of what is `asked` first; after each number of steps that is asked, tell the seconds of one.

    Told instead is what went wrong, as text: the end.
    """
    try:
        described, images, compiled = pickle.load(asked)
        torch.set_num_threads(os.cpu_count())
        twin, batch = Twin(described, compiled), torch.tensor(images).permute(0, 3, 1, 2)
        run = in_a_loop(lambda: twin.step(batch), lambda loss: loss.item())
        while True:
            tell(told, run(pickle.load(asked)))
    except EOFError:  # nothing more is asked
        pass
    except (ValueError, RuntimeError) as error:  # torch.compile's are RuntimeError
        tell(told, f"PyTorch says: {type(error).__name__} {str(error).strip()}".splitlines()[0])


def tell(told, answer):
    pickle.dump(answer, told)
    told.flush()


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what PyTorch prints is no answer
    serve(sys.stdin.buffer, answers)
