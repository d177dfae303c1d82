"""What the training frameworks share; each has a folder of its own here (chapters 6 and 7)."""

from imnetlib.engines.capacity import compare_plans, largest_batch, picture_bytes, standing_bytes
from imnetlib.engines.graph import (
    PICTURES,
    Layer,
    infer_shapes,
    multiply_adds,
    numbers_moved,
    parameter_count,
    read_layers,
)
from imnetlib.engines.inception import Block, Network, Stem, layers, network
from imnetlib.engines.offsets import Layout, plan_offsets
from imnetlib.engines.planner import MATCH_RANGE, Chain, Plan, Step, in_use, lifetimes, plan
from imnetlib.engines.recipe import Recipe
from imnetlib.engines.recomputation import PER_NUMBER, Choice, Recomputation
from imnetlib.engines.operations import CHEAP, training_steps

__all__ = [
    "CHEAP", "MATCH_RANGE", "PER_NUMBER", "PICTURES", "Block", "Chain", "Choice", "Layer", "Layout",
    "Network", "Plan", "Recipe", "Recomputation", "Stem", "Step", "compare_plans", "in_use",
    "infer_shapes", "largest_batch", "layers", "lifetimes", "multiply_adds", "network",
    "numbers_moved", "parameter_count", "picture_bytes", "plan", "plan_offsets", "read_layers",
    "standing_bytes", "training_steps",
]  # fmt: skip
