"""What the training frameworks share; each has a folder of its own here (chapters 6 and 7)."""

from imnetlib.engines.inception import Block, Network, Stem, network
from imnetlib.engines.planner import MATCH_RANGE, Plan, Step, in_use, lifetimes, plan
from imnetlib.engines.recipe import Recipe

__all__ = [
    "MATCH_RANGE", "Block", "Network", "Plan", "Recipe", "Stem", "Step", "in_use",
    "lifetimes", "network", "plan",
]  # fmt: skip
