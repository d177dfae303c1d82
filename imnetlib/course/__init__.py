"""What the notebooks need around the library: a root made ready, local servers, recorded results.

Nothing but notebooks, tests and ``imnet`` imports it: an engineer who takes one helper of imnetlib
never meets this package.
"""

from imnetlib.course.aws import Cloud, open_cloud
from imnetlib.course.engines import Engine, engine
from imnetlib.course.exercises import check
from imnetlib.course.kaggle import copy_as_kaggle
from imnetlib.course.measure import psnr, repeat, resident_bytes
from imnetlib.course.rates import Rate, training_rates
from imnetlib.course.readings import Compared, mean_told, several_peaks, told_in_words
from imnetlib.course.report import record, table, verdicts
from imnetlib.course.root import Root, open_root, publication, site
from imnetlib.course.shared import (
    claims_of,
    class_names,
    class_titles,
    hierarchy_of,
    mxnet,
    nouns,
    scratch_folder,
    validation_images,
)
from imnetlib.course.steps import adopt, predict, predicted, prepare, shard_folder, shards, trained
from imnetlib.course.stopping import stopped_when
from imnetlib.course.torchrun import torchrun
from imnetlib.course.ways import (
    Part,
    disk_needs,
    index_training,
    lesson_archives,
    surveys,
    to_fetch,
    training_and_validation,
)

__all__ = [
    "Cloud", "Compared", "Engine", "Part", "Rate", "Root", "adopt", "check", "claims_of",
    "class_names", "class_titles", "copy_as_kaggle", "disk_needs", "engine", "hierarchy_of",
    "index_training", "lesson_archives", "mean_told", "mxnet", "nouns", "open_cloud", "open_root",
    "predict", "predicted", "prepare", "psnr", "publication", "record", "repeat", "resident_bytes",
    "scratch_folder", "several_peaks", "shard_folder", "shards", "site", "stopped_when", "surveys",
    "table", "to_fetch", "told_in_words", "torchrun", "trained", "training_and_validation",
    "training_rates", "validation_images", "verdicts",
]  # fmt: skip
