"""The networks of ``engines.inception`` as PyTorch modules, and any other module (chapter 10)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import ModuleType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from imnetlib import engines
from imnetlib.arguments import require, require_type, whole_number
from imnetlib.engines import Block, Checkpoint, Convolution, Network, Recipe, Stem, Trained
from imnetlib.engines.params import Arrays
from imnetlib.engines.published import require_trained
from imnetlib.engines.torch.published import Graph

# What a module raises for pictures that it cannot take.
_REFUSALS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)
_USUAL_SIZES = (*range(32, 512, 32), 299, 331, 336, 380, 512, 518, 600)
# Parts of a name in a state_dict and in MXNet's files.
_NAMES = {
    ".conv.": "_",
    ".bn.weight": "_bn_gamma",
    ".bn.bias": "_bn_beta",
    ".bn.running_mean": "_bn_moving_mean",
    ".bn.running_var": "_bn_moving_var",
    "layers.": "",
    "fc1.": "fc1_",
}


class Convolved(nn.Module):  # type: ignore[misc]
    """Convolution, BatchNorm and ReLU as MXNet computes them: gamma is 1 and learns nothing.

    PyTorch's running variance is that of a sample, n / (n - 1) of MXNet's: the same but for tiny
    batches of tiny pictures.
    """

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            layer.inputs, layer.filters, layer.kernel, layer.stride, layer.kernel // 2
        )
        self.bn = nn.BatchNorm2d(layer.filters, eps=1e-3, momentum=0.1)
        self.bn.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's result, (n, filters, height, width)."""
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):  # type: ignore[misc]
    """A network of the table: pictures (n, 3, height, width) to logits (n, classes).

    ``recompute``: the backward pass computes the inside of each stem and block again (chapter 6),
    so that only what passes between them is kept.
    """

    def __init__(self, network: Network, *, recompute: bool = False) -> None:
        super().__init__()
        self.network = network
        self.recompute = recompute
        layers = engines.convolutions(network)
        self.layers = nn.ModuleDict({layer.name: Convolved(layer) for layer in layers})
        classes, width = engines.parameter_shapes(network)["arg:fc1_weight"]
        self.fc1 = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The logits; their softmax is the probabilities."""
        stages: list[Stem | Block] = [*self.network.stem, *self.network.blocks]
        for stage in stages:
            if self.recompute and self.training:
                x = recomputed(
                    self._stage, x, stage, use_reentrant=False, context_fn=self._counted_once
                )
            else:
                x = self._stage(x, stage)
        return self.fc1(x.mean((2, 3)))

    def _counted_once(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts of the first pass and of its repetition, which must not move the statistics."""
        return nullcontext(), self._still()

    @contextmanager
    def _still(self) -> Iterator[None]:
        norms = [layer.bn for layer in self.layers.values()]
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield
        finally:
            for norm in norms:
                norm.momentum = 0.1

    def _stage(self, x: Tensor, stage: Stem | Block) -> Tensor:
        return self._stem(x, stage) if isinstance(stage, Stem) else self._block(x, stage)

    def _stem(self, x: Tensor, stem: Stem) -> Tensor:
        if stem.reduce:
            x = self.layers[f"{stem.name}_reduce"](x)
        x = self.layers[stem.name](x)
        return x if stem.pool == "none" else _pool(x, stem.pool, 2)

    def _block(self, x: Tensor, block: Block) -> Tensor:
        def layer(x: Tensor, name: str) -> Tensor:
            return self.layers[f"{block.name}_{name}"](x)

        branches = [] if block.halves else [layer(x, "single")]
        branches.append(layer(layer(x, "triple_reduce"), "triple"))
        branches.append(layer(layer(layer(x, "double_reduce"), "double1"), "double2"))
        pooled = _pool(x, block.pool, 2 if block.halves else 1)
        branches.append(pooled if block.halves else layer(pooled, "projection"))
        return torch.cat(branches, 1)


def _pool(x: Tensor, kind: str, stride: int) -> Tensor:
    """A 3x3 pool; at stride 2 it keeps an odd row at the edge, as MXNet does."""
    pad = 2 - stride
    if kind == "max":
        return functional.max_pool2d(x, 3, stride, pad, ceil_mode=True)
    return functional.avg_pool2d(x, 3, stride, pad, ceil_mode=True)


def module(name: str, classes: int, size: int) -> nn.Module:
    """A network that gives ``classes`` logits for pictures of ``size`` pixels (chapter 10).

    ``name``: of the table of ``engines.inception``; "timm:resnet50", a model of timm without its
    published weights; or "package.module:factory", a function of yours that is called with
    ``num_classes``. ValueError for an unknown name, for a size that the network can't take, and for
    one that can't be trained here; ImportError where timm or the module is not installed.
    """
    require_type(name, str, "name is that of a network")
    classes = whole_number("classes", classes)
    require(classes >= 2, "a classifier has two classes or more", classes)
    size = whole_number("size", size)
    require(size >= 1, "size is 1 or more", size)
    package, colon, factory = name.partition(":")
    if not colon:
        network = engines.network(name, classes)
        engines.require_size(network, size)
        return Inception(network)
    source = imported(package)
    if package == "timm":
        made = _of_timm(source, factory, classes)
    else:
        maker = getattr(source, factory, None)
        if not callable(maker):
            raise ValueError(f"{package} has no function {factory}")
        made = maker(num_classes=classes)
    require_type(made, nn.Module, f"{name} makes a torch.nn.Module")
    _require_trainable(made, name)
    _require_logits(made, name, classes, size)
    return made


def imported(package: str) -> ModuleType:
    """The Python module that networks come from; ImportError with the way out.

    ValueError for what can be no module's name.
    """
    if package.startswith(".") or not package:
        raise ValueError(f"no module {package!r}: a network is timm:NAME or MODULE:FUNCTION")
    if package == "timm":
        return _timm()
    try:
        return importlib.import_module(package)
    except ImportError as error:
        way_out = f"{package} is looked for where Python is, and in the folders of PYTHONPATH"
        raise ImportError(f"{error}; {way_out}", name=error.name) from error


def _timm() -> ModuleType:
    """It imports torchvision, of which only the build for this PyTorch will do.

    Where it is another one, that is a RuntimeError.
    """
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        release, _, build = torch.__version__.partition("+")
        command = f"pip install timm torchvision torch=={release}"
        if build:
            command += f" --extra-index-url https://download.pytorch.org/whl/{build}"
        raise ImportError(
            f"timm can't be imported ({error}): {command} brings it, with the torchvision that "
            "goes with this PyTorch",
            name="timm",
        ) from error


def _of_timm(timm: Any, model: str, classes: int) -> nn.Module:
    try:
        return timm.create_model(model, num_classes=classes)
    except RuntimeError as error:
        raise ValueError(f"timm makes no {model} ({error}): see timm.list_models()") from error


def _require_trainable(made: nn.Module, name: str) -> None:
    """ValueError unless it learns something, in float32."""
    if not any(weight.requires_grad for weight in made.parameters()):
        raise ValueError(f"{name} learns nothing: no parameter of it has requires_grad")
    for weight in made.parameters():
        kind = str(weight.dtype).removeprefix("torch.")
        require(kind == "float32", f"the weights of {name} are float32", kind)


def _require_logits(made: nn.Module, name: str, classes: int, size: int) -> None:
    made.eval()
    try:
        given = _given(made, size)
    except _REFUSALS as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name} takes no pictures of {size} pixels ({reason}){_sizes_taken(made, size)}"
        ) from error
    require_type(given, Tensor, f"{name} gives one tensor of logits")
    shape = tuple(given.shape)
    if shape != (1, classes):
        raise ValueError(f"{name} gives {shape} for one picture, not {(1, classes)}")


def _given(made: nn.Module, size: int) -> Any:
    device = next(made.parameters()).device
    with torch.no_grad():
        return made(torch.zeros(1, 3, size, size, device=device))


def _sizes_taken(made: nn.Module, wanted: int) -> str:
    """The two nearest of the usual sizes that a module takes, to end a sentence about another."""
    # There nothing is computed, and the module is of no more use.
    made.to("meta")
    taken = []
    for size in sorted(_USUAL_SIZES, key=lambda size: abs(size - wanted)):
        with suppress(*_REFUSALS):
            _given(made, size)
            taken.append(size)
        if len(taken) == 2:
            break
    return f"; it takes {' or '.join(map(str, sorted(taken)))}, for instance" if taken else ""


def _plain_name(net: nn.Module, key: str) -> str:
    if isinstance(net, Inception):
        for ours, theirs in _NAMES.items():
            key = key.replace(ours, theirs)
    return key


def named_weights(net: nn.Module) -> dict[str, nn.Parameter]:
    """What ``net`` learns, and gammas that stay 1, by the names of MXNet's files."""
    return {_plain_name(net, key): weight for key, weight in net.named_parameters()}


def statistics_owners(net: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The layers that hold running statistics, and how each calls its own."""
    for layer in net.modules():
        for key, value in layer.named_buffers(recurse=False):
            if _is_kept(net, value):
                yield layer, key


def named_statistics(net: nn.Module) -> dict[str, Tensor]:
    """BatchNorm's running means and variances, by the names of MXNet's files.

    Of another module than ours all its buffers.
    """
    buffers = net.named_buffers()
    return {_plain_name(net, key): value for key, value in buffers if _is_kept(net, value)}


def _is_kept(net: nn.Module, value: Tensor) -> bool:
    # PyTorch's BatchNorm counts its batches, MXNet's does not.
    return value.is_floating_point() or not isinstance(net, Inception)


def arrays_of(net: nn.Module) -> Arrays:
    """Weights as "arg:NAME", running statistics as "aux:NAME", as MXNet's files have them."""
    weights = {f"arg:{name}": as_array(value) for name, value in named_weights(net).items()}
    statistics = {f"aux:{name}": as_array(v) for name, v in named_statistics(net).items()}
    return weights | statistics


def as_array(value: Tensor) -> NDArray[Any]:
    """A copy of a tensor, wherever it is and however it lies in memory."""
    array: NDArray[Any] = value.detach().contiguous().cpu().numpy().copy()
    return array


def set_arrays(net: nn.Module, arrays: Arrays) -> None:
    """Copy the parameters of a checkpoint into ``net``, those of either engine.

    ValueError where one is missing, or of another shape.
    """
    wanted = {f"arg:{name}": value for name, value in named_weights(net).items()}
    wanted |= {f"aux:{name}": value for name, value in named_statistics(net).items()}
    for name, value in wanted.items():
        found = arrays.get(name)
        if found is None or tuple(found.shape) != tuple(value.shape):
            there = "missing" if found is None else f"of shape {tuple(found.shape)}"
            raise ValueError(f"{name} is {there}; the network has {tuple(value.shape)}")
        # MXNet computes with 1, whatever gamma its file holds.
        is_fixed = isinstance(net, Inception) and name.endswith("_gamma")
        with torch.no_grad():
            value.copy_(torch.ones_like(value) if is_fixed else torch.tensor(found))


def module_of(trained: Trained) -> nn.Module:
    """A trained or a published network with its weights, ready to predict on the CPU.

    ValueError where the files of a published one do not fit.
    """
    require_trained(trained)
    if not isinstance(trained, Checkpoint):
        return Graph(trained).eval()
    recipe = trained.recipe
    net = module(recipe.network, len(trained.wnids), recipe.size)
    set_arrays(net, trained.parameters)
    return net.eval()


def normalized(images: Tensor, recipe: Recipe) -> Tensor:
    """Pixels uint8 (n, height, width, 3) as float32 (n, 3, height, width), as the recipe says.

    Nothing moves in memory: they lie as "channels last" wants them.
    """
    return images.permute(0, 3, 1, 2).float().sub_(recipe.mean).div_(recipe.std)
