"""What the training frameworks share; each has a folder of its own here (chapters 6, 7 and 10)."""

from imnetlib.engines.checkpoint import Checkpoint, Epoch
from imnetlib.engines.checkpoint import describe as describe_checkpoint
from imnetlib.engines.checkpoint import load as load_checkpoint
from imnetlib.engines.checkpoint import networks as networks_in
from imnetlib.engines.checkpoint import save as save_checkpoint
from imnetlib.engines.finding import load_network, require_network
from imnetlib.engines.inception import (
    Block,
    Convolution,
    Network,
    Stem,
    convolutions,
    network,
    parameter_count,
    parameter_shapes,
    require_size,
)
from imnetlib.engines.params import read_params, write_params
from imnetlib.engines.planner import MATCH_RANGE, Plan, Step, in_use, lifetimes, plan
from imnetlib.engines.prediction import relabel
from imnetlib.engines.published import (
    Published,
    Trained,
    load_published,
    no_network,
    verify_published,
)
from imnetlib.engines.recipe import Recipe
from imnetlib.engines.training import DivergedError, fine_tuned, read_log, untrained

__all__ = [
    "MATCH_RANGE",
    "Block",
    "Checkpoint",
    "Convolution",
    "DivergedError",
    "Epoch",
    "Network",
    "Plan",
    "Published",
    "Recipe",
    "Stem",
    "Step",
    "Trained",
    "convolutions",
    "describe_checkpoint",
    "fine_tuned",
    "in_use",
    "lifetimes",
    "load_checkpoint",
    "load_network",
    "load_published",
    "network",
    "networks_in",
    "no_network",
    "parameter_count",
    "parameter_shapes",
    "plan",
    "read_log",
    "read_params",
    "relabel",
    "require_network",
    "require_size",
    "save_checkpoint",
    "untrained",
    "verify_published",
    "write_params",
]  # fmt: skip
