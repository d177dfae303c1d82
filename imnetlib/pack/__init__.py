"""Image lists, and shards made of them: restartable, nothing lost in silence (chapter 4)."""

from imnetlib.pack.lists import (
    EXTENSIONS,
    ImageList,
    list_archive,
    list_flat_folder,
    list_folder,
    read_lst,
    select,
    shuffle,
    split,
    verify_labels,
    write_lst,
)
from imnetlib.pack.shards import (
    CLASSES,
    Failure,
    Job,
    PackError,
    ShardTask,
    Summary,
    estimate_shards,
    failures_path,
    pack,
    pack_shard,
    shard_tasks,
)
from imnetlib.pack.sources import Files, Folder, OnError, Tar
from imnetlib.pack.survey import ShardSurvey, Unreadable, survey_shard

__all__ = [
    "CLASSES", "EXTENSIONS", "Failure", "Files", "Folder", "ImageList", "Job", "OnError",
    "PackError", "ShardSurvey", "ShardTask", "Summary", "Tar", "Unreadable",
    "estimate_shards", "failures_path", "list_archive", "list_flat_folder", "list_folder",
    "pack", "pack_shard", "read_lst", "select", "shard_tasks", "shuffle", "split",
    "survey_shard", "verify_labels", "write_lst",
]  # fmt: skip
