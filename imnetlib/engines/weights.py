"""What a training starts from: weights drawn anew, or those of another network (chapter 7)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from imnetlib.arguments import Floats, in_order, require, require_type
from imnetlib.engines.checkpoint import Checkpoint
from imnetlib.engines.graph import Shape
from imnetlib.engines.inception import network, parameter_shapes, require_size
from imnetlib.engines.recipe import Recipe


def untrained(recipe: Recipe, wnids: Sequence[str]) -> Checkpoint:
    """A network of the table before its first step, with weights after He et al. 2015 (chapter 7).

    They are drawn from the recipe's seed. ValueError for a size that the network cannot take.
    """
    require_type(recipe, Recipe, "recipe is an engines.Recipe")
    wnids = in_order("wnids", wnids)
    net = network(recipe.network, len(wnids))
    require_size(net, recipe.size)
    random = np.random.default_rng(recipe.seed)
    parameters = {
        name: _initial_values(name, shape, random) for name, shape in parameter_shapes(net).items()
    }
    return Checkpoint(recipe, tuple(wnids), 0, (), {}, parameters, {})


def _initial_values(name: str, shape: Shape, random: np.random.Generator) -> Floats:
    if name.endswith("weight"):
        values = random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        return values.astype(np.float32)
    return np.full(shape, name.endswith(("gamma", "moving_var")), np.float32)


def fine_tuned(trained: Checkpoint, begun: Checkpoint) -> Checkpoint:
    """``begun``, a network before its first step, with the weights of ``trained`` (chapter 7).

    Those of the last layer only where the classes are the same. ValueError where the networks
    differ, and where ``begun`` has learned already.
    """
    require_type(trained, Checkpoint, "trained is an engines.Checkpoint")
    classes = len(trained.wnids)
    name = trained.recipe.network
    one_more = parameter_shapes(network(name, classes + 1))
    shapes = parameter_shapes(network(name, classes))
    return with_weights_of(trained, begun, [n for n in shapes if shapes[n] != one_more[n]])


def with_weights_of(trained: Checkpoint, begun: Checkpoint, last: Iterable[str]) -> Checkpoint:
    """``begun`` with the weights of ``trained``; for other classes without those of ``last``."""
    require_type(begun, Checkpoint, "begun is an engines.Checkpoint")
    is_same = begun.recipe.network == trained.recipe.network
    require(is_same, f"the network is {trained.recipe.network}", begun.recipe.network)
    is_begun = not begun.history and not begun.steps
    require(is_begun, "begun has had no step, as untrained makes it", len(begun.history))
    parameters = {**trained.parameters}
    if begun.wnids != trained.wnids:
        parameters |= {name: begun.parameters[name] for name in last}
    return dataclasses.replace(begun, parameters=parameters)
