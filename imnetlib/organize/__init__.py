"""One folder per class: extract, sort and undo, adopt Kaggle's layout, survey (chapter 2)."""

from imnetlib.organize.extract import Extraction, extract_train, extract_validation
from imnetlib.organize.kaggle import (
    KAGGLE_CLASSES,
    KAGGLE_IMAGES,
    KAGGLE_LABELS,
    KAGGLE_TRAIN_LIST,
    adopt_kaggle,
    require_kaggle,
)
from imnetlib.organize.labels import (
    labels_from_devkit,
    labels_from_kaggle,
    read_labels,
    train_counts,
    train_counts_from_index,
)
from imnetlib.organize.names import JOURNAL, validation_name
from imnetlib.organize.survey import (
    FolderSurvey,
    StrangeFile,
    kind_of,
    survey_folders,
    survey_report,
)
from imnetlib.organize.validation import Sorting, sort_validation, undo_validation

__all__ = [
    "JOURNAL", "KAGGLE_CLASSES", "KAGGLE_IMAGES", "KAGGLE_LABELS", "KAGGLE_TRAIN_LIST",
    "Extraction", "FolderSurvey", "Sorting", "StrangeFile", "adopt_kaggle", "extract_train",
    "extract_validation", "kind_of", "labels_from_devkit", "labels_from_kaggle",
    "read_labels", "require_kaggle", "sort_validation", "survey_folders", "survey_report",
    "train_counts", "train_counts_from_index", "undo_validation", "validation_name",
]  # fmt: skip
