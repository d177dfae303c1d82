"""What notebooks need: sample, figures, schematics, local servers, exercises, recorded results.

Nothing but notebooks, tests and ``imnet`` imports it: an engineer who takes one helper of imnetlib
never meets this package.
"""

from imnetlib.course.aws import Cloud, open_cloud
from imnetlib.course.engines import Engine, engine
from imnetlib.course.exercises import check
from imnetlib.course.gpus import unused_gpu
from imnetlib.course.judging import (
    accuracy_row,
    calibration_table,
    confused_pair,
    confusion_square,
    hierarchical_table,
    quoted_top_k,
    weakest_table,
)
from imnetlib.course.kaggle import copy_as_kaggle
from imnetlib.course.measure import repeat, resident_bytes, shuffle_cost, size_and_psnr
from imnetlib.course.processes import torchrun
from imnetlib.course.promises import (
    answer_table,
    answers_in_words,
    binomial_interval,
    kind_table,
    ranked_table,
    split_errors,
    split_table,
)
from imnetlib.course.rates import Rate, training_rates
from imnetlib.course.readings import (
    Compared,
    coverage_table,
    mean_told,
    several_peaks,
    telling,
    told_in_words,
)
from imnetlib.course.report import record, table, verdict
from imnetlib.course.root import Root, open_root, publication, site
from imnetlib.course.shared import (
    class_names,
    class_titles,
    hierarchy_of,
    mxnet,
    nouns,
    scratch_folder,
    validation_images,
)
from imnetlib.course.steps import adopt, predict, predicted, prepare, shard_folder, shards, trained
from imnetlib.course.stopping import killed_when, stopped_when
from imnetlib.course.ways import (
    Part,
    disk_budgets,
    index_training,
    lesson_archives,
    surveys,
    to_fetch,
    training_and_validation,
)

__all__ = [
    "Cloud", "Compared", "Engine", "Part", "Rate", "Root", "accuracy_row", "adopt", "answer_table",
    "answers_in_words", "binomial_interval", "calibration_table", "check", "class_names",
    "class_titles", "confused_pair", "confusion_square", "copy_as_kaggle", "coverage_table",
    "disk_budgets", "engine", "hierarchical_table", "hierarchy_of", "index_training",
    "killed_when", "kind_table", "lesson_archives", "mean_told", "mxnet", "nouns", "open_cloud",
    "open_root", "predict", "predicted", "prepare", "publication", "quoted_top_k", "ranked_table",
    "record", "repeat", "resident_bytes", "scratch_folder", "several_peaks", "shard_folder",
    "shards", "shuffle_cost", "site", "size_and_psnr", "split_errors", "split_table",
    "stopped_when", "surveys", "table", "telling", "to_fetch", "told_in_words", "torchrun",
    "trained", "training_and_validation", "training_rates", "unused_gpu", "validation_images",
    "verdict", "weakest_table",
]  # fmt: skip
