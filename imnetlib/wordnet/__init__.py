"""WordNet's hierarchy above ImageNet's classes, and readings of predictions with it (chapter 9)."""

from imnetlib.wordnet.climbing import (
    OperatingCurve,
    choose_lambda,
    choose_theta,
    climb,
    conformal_quantile,
    hedge,
    operating_curve,
    theta_scores,
)
from imnetlib.wordnet.explanation import Reading, explain, worth
from imnetlib.wordnet.hierarchy import RELATIONS, Hierarchy, build, contract, load
from imnetlib.wordnet.invented import invented_predictions
from imnetlib.wordnet.measures import (
    HierarchicalScores,
    LabelCoverage,
    class_order,
    distance_at_k,
    hierarchical_scores,
    label_coverage,
    relation_shares,
    severity,
)
from imnetlib.wordnet.names import class_names, unique_names
from imnetlib.wordnet.nouns import gloss, name
from imnetlib.wordnet.ranking import rerank
from imnetlib.wordnet.sets import choose_level, level_scores, node_sets

__all__ = [
    "RELATIONS", "HierarchicalScores", "Hierarchy", "LabelCoverage", "OperatingCurve", "Reading",
    "build", "choose_lambda", "choose_level", "choose_theta", "class_names", "class_order", "climb",
    "conformal_quantile", "contract", "distance_at_k", "explain", "gloss", "hedge",
    "hierarchical_scores", "invented_predictions", "label_coverage", "level_scores", "load", "name",
    "node_sets", "operating_curve", "relation_shares", "rerank", "severity", "theta_scores",
    "unique_names", "worth",
]  # fmt: skip
