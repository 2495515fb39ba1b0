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


class Embedded(nn.Embedding):
    """A label's embedding, of labels of any integers."""

    def forward(self, label):
        return super().forward(label.long())


class Of(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


class Network(nn.Module):
    """The same as a described Functional model, with its weights; images have their channels first.

    Its call takes the inputs in their order and returns a tensor, or {name of an output: tensor}. With `exact` it computes what the
    Keras network does; else paddings are those that users of PyTorch write.
    """

    def __init__(self, described, exact=False):
        super().__init__()
        self.inputs, self.outputs = described["inputs"], described["outputs"]
        self.calls = {call["name"]: _sources(call["arguments"]) for call in described["calls"]}
        self.layers = nn.ModuleDict({call["name"]: _module(call, exact) for call in described["calls"]})
        self.to(memory_format=torch.channels_last)

    def forward(self, *inputs):
        values = dict(zip(self.inputs, inputs))
        for name, sources in self.calls.items():
            values[name] = self.layers[name](*(values[source] for source in sources))
        if isinstance(self.outputs, str):
            return values[self.outputs]
        return {name: values[of] for name, of in self.outputs.items()}


def _sources(arguments):
    first = arguments[0]
    return [first] if isinstance(first, str) else first


def _module(call, exact):
    kind, config = call["kind"], call["config"]
    weights = [torch.tensor(w) for w in call["weights"]]
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
        make = nn.BatchNorm1d if call["rank"] == 2 else nn.BatchNorm2d
        module = make(weights[0].shape[0], eps=config["epsilon"], momentum=1 - config["momentum"])
        tensors = weights[:2]
    elif kind == "Embedding":
        module, tensors = Embedded(*weights[0].shape), weights
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
    elif kind == "Add":
        return Of(torch.add)
    elif kind == "Dot":
        return Of(lambda a, b: (a * b).sum(dim=1, keepdim=True))
    elif kind == "Concatenate":
        return Of(lambda *parts: torch.cat(parts, dim=1))
    elif kind == "GetItem":
        places = tuple(slice(*ends) for ends in call["arguments"][1])
        return Of(lambda x: x[places])
    else:
        raise ValueError(f"The twin has no {kind}. Add it to scripts/lab/torch_twin.py.")
    with torch.no_grad():
        for parameter, tensor in zip(module.parameters(), tensors, strict=True):
            parameter.copy_(tensor)
    wrap = {"Conv2D": Same, "Conv2DTranspose": TransposedSame}.get(kind)
    module = wrap(module, exact) if wrap else module
    activation = config.get("activation", "linear")
    if activation == "linear":
        return module
    return nn.Sequential(module, {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[activation]())


def outputs_of(discriminator, images, labels):
    """{name: tensor}, also of a discriminator that returns its score alone."""
    outputs = discriminator(images) if labels is None else discriminator(images, labels)
    return outputs if isinstance(outputs, dict) else {"score": outputs}


class Twin:
    """The pair and its training step, with the loss and the terms of a `GAN`.

    Args:
        described: The pair, its optimizers and its game, as `peers.described` has them.
        compiled: Whether the networks go through `torch.compile`; not where the gradient of a penalty is computed, whose second
            derivatives it does not know (2.13).
        exact: As in `Network`.
    """

    def __init__(self, described, compiled=False, exact=False):
        networks = [Network(described[player], exact) for player in ("discriminator", "generator")]
        self.discriminator, self.generator = networks
        self.optimizers = [
            torch.optim.Adam(network.parameters(), **described[player]["adam"])
            for network, player in zip(networks, ("discriminator", "generator"))
        ]
        self.latent_dim, self.clusters, self.ema = (described[name] for name in ("latent_dim", "clusters", "ema"))
        self.n_critic, self.simultaneous = described["n_critic"], described["simultaneous"]
        self.wasserstein, self.terms = described["wasserstein"], described["terms"]
        self.average = None
        if self.ema:
            self.average = [parameter.detach().clone() for parameter in self.generator.state_dict().values()]
        self.run_generator, self.run_discriminator = networks[::-1]
        if compiled:
            # One cache serves all networks of a process, and where it is full they would run uncompiled without a word.
            torch._dynamo.reset()
            torch._dynamo.config.fail_on_recompile_limit_hit = True
            torch._functorch.config.donated_buffer = False  # the graph of simultaneous updates is used twice
            self.run_generator, self.run_discriminator = (torch.compile(n, dynamic=False) for n in networks[::-1])

    def latents(self, number, labels):
        z = torch.randn(number, self.latent_dim - self.clusters)
        return torch.cat([z, functional.one_hot(labels.long(), self.clusters)], dim=1) if self.clusters else z

    def generate(self, z):
        return self.run_generator(z)

    def judge(self, images, labels=None):
        return outputs_of(self.run_discriminator, images, labels)

    def d_loss(self, real, fake, on_fake, labels=None, u=None):
        """The discriminator's loss. `on_fake` are its outputs for `fake`; `u` the places between both of the gradient penalty."""
        on_real = self.judge(real, labels)
        if self.wasserstein:
            loss = on_fake["score"].mean() - on_real["score"].mean()
        else:
            loss = functional.softplus(-on_real["score"]).mean() + functional.softplus(on_fake["score"]).mean()
        if "r1" in self.terms:
            r1 = self.terms["r1"]
            part = slice(None, None, r1["one_in"])
            slopes = self._squared_slopes(real[part], None if labels is None else labels[part])
            loss = loss + r1["weight"] / 2 * slopes.mean()
        if "gradient_penalty" in self.terms:
            between = real + u * (fake.detach() - real)
            slopes = torch.sqrt(self._squared_slopes(between, labels) + 1e-12)
            loss = loss + self.terms["gradient_penalty"]["weight"] * ((slopes - 1) ** 2).mean()
        return loss + self._classification("real", on_real, labels) + self._classification("generated", on_fake, labels)

    def g_loss(self, on_fake, labels=None):
        scores = on_fake["score"]
        loss = -scores.mean() if self.wasserstein else functional.softplus(-scores).mean()
        return loss + self._classification("generated", on_fake, labels)

    def _classification(self, on, outputs, labels):
        term = self.terms.get(f"classification_{on}")
        return term["weight"] * functional.cross_entropy(outputs["label"], labels.long()) if term else 0.0

    def _squared_slopes(self, images, labels):
        images = images.detach().requires_grad_()
        scores = outputs_of(self.discriminator, images, labels)["score"]
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3))

    def step(self, images, labels=None):
        """One training step on images (n, channels, height, width)."""
        loss = self._both(images, labels) if self.simultaneous else self._in_turn(images, labels)
        if self.average:
            with torch.no_grad():
                for average, parameter in zip(self.average, self.generator.state_dict().values()):
                    if average.is_floating_point():
                        average.lerp_(parameter, 1 - self.ema)
        return loss

    def _in_turn(self, images, labels):
        d_optimizer, g_optimizer = self.optimizers
        for k in range(self.n_critic):
            real, of_real = (None if x is None else x[k :: self.n_critic] for x in (images, labels))
            with torch.no_grad():
                fake = self.generate(self.latents(len(real), of_real))
            d_optimizer.zero_grad()
            loss = self.d_loss(real, fake, self.judge(fake, of_real), of_real, self._places(real))
            loss.backward()
            d_optimizer.step()
        g_optimizer.zero_grad()
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(False)
        self.g_loss(self.judge(self.generate(self.latents(len(real), of_real)), of_real), of_real).backward()
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(True)
        g_optimizer.step()
        return loss

    def _both(self, images, labels):
        """Both gradients at the same point, from the same generated images, then both updates."""
        fake = self.generate(self.latents(len(images), labels))
        on_fake = self.judge(fake, labels)
        loss = self.d_loss(images, fake, on_fake, labels, self._places(images))
        for network, value, keep in (
            (self.discriminator, loss, True),
            (self.generator, self.g_loss(on_fake, labels), False),
        ):
            parameters = list(network.parameters())
            for parameter, gradient in zip(parameters, torch.autograd.grad(value, parameters, retain_graph=keep)):
                parameter.grad = gradient
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def _places(self, images):
        return torch.rand(len(images), 1, 1, 1) if "gradient_penalty" in self.terms else None


def serve(asked, told):
    """Make a twin of what is `asked` first; after each number of steps that is asked, tell the seconds of one.

    Told instead is what went wrong, as text: the end.
    """
    try:
        described, (images, *labels), compiled = pickle.load(asked)
        torch.set_num_threads(os.cpu_count())
        twin, batch = Twin(described, compiled), (torch.tensor(images).permute(0, 3, 1, 2), *map(torch.tensor, labels))
        run = in_a_loop(lambda: twin.step(*batch), lambda loss: loss.item())
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
