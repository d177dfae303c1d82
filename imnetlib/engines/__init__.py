"""Networks, training, checkpoints and plans of memory, on MXNet or PyTorch (chapters 6, 7, 10).

What both share is here; each has a folder of its own, with the same functions.
"""

from imnetlib.engines.capacity import compare_plans, largest_batch, picture_bytes, standing_bytes
from imnetlib.engines.checkpoint import Checkpoint, Epoch, file_name
from imnetlib.engines.checkpoint import describe as describe_checkpoint
from imnetlib.engines.checkpoint import load as load_checkpoint
from imnetlib.engines.checkpoint import networks as networks_in
from imnetlib.engines.checkpoint import save as save_checkpoint
from imnetlib.engines.finding import load_network, require_network
from imnetlib.engines.graph import (
    PICTURES,
    Layer,
    infer_shapes,
    layer_parameters,
    multiply_adds,
    numbers_moved,
    read_layers,
)
from imnetlib.engines.inception import (
    Block,
    Convolution,
    Network,
    Stem,
    convolutions,
    layers,
    network,
    parameter_count,
    parameter_shapes,
    require_size,
)
from imnetlib.engines.log import read_log
from imnetlib.engines.offsets import Layout, plan_offsets
from imnetlib.engines.operations import CHEAP, training_steps
from imnetlib.engines.params import read_params, write_params
from imnetlib.engines.planner import MATCH_RANGE, Chain, Plan, Step, in_use, lifetimes, plan
from imnetlib.engines.prediction import relabel
from imnetlib.engines.published import (
    Published,
    Trained,
    load_published,
    no_network,
    verify_published,
)
from imnetlib.engines.recipe import Recipe
from imnetlib.engines.recomputation import PER_NUMBER, Choice, Recomputation
from imnetlib.engines.training import DivergedError
from imnetlib.engines.weights import fine_tuned, untrained

__all__ = [
    "CHEAP", "MATCH_RANGE", "PER_NUMBER", "PICTURES", "Block", "Chain", "Checkpoint", "Choice",
    "Convolution", "DivergedError", "Epoch", "Layer", "Layout", "Network", "Plan", "Published",
    "Recipe", "Recomputation", "Stem", "Step", "Trained", "compare_plans", "convolutions",
    "describe_checkpoint", "file_name", "fine_tuned", "in_use", "infer_shapes", "largest_batch",
    "layer_parameters", "layers", "lifetimes", "load_checkpoint", "load_network",
    "load_published", "multiply_adds", "network", "networks_in", "no_network", "numbers_moved",
    "parameter_count", "parameter_shapes", "picture_bytes", "plan", "plan_offsets", "read_layers",
    "read_log", "read_params", "relabel", "require_network", "require_size", "save_checkpoint",
    "standing_bytes", "training_steps", "untrained", "verify_published", "write_params",
]  # fmt: skip
