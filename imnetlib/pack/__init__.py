"""Image lists, and shards made of them: restartable, and no image is lost unseen (chapter 4).

    images = shuffle(list_folder(Path("train")), seed=100)
    pack(images, Folder(Path("train")), Path("shards"), "train", shards=4)

``Job``, ``ShardTask`` and ``pack_shard`` are for a scheduler of your own.
"""

from imnetlib.pack.classes import CLASSES, verify_classes_beside
from imnetlib.pack.listing import EXTENSIONS, list_archive, list_flat_folder, list_folder
from imnetlib.pack.lists import ImageList, select, shuffle, split, verify_labels
from imnetlib.pack.lst import read_lst, write_lst
from imnetlib.pack.parquet import Parquet, list_parquet, open_parquet, shuffle_parquet
from imnetlib.pack.run import estimate_shards, failures_path, pack, shard_tasks
from imnetlib.pack.shard import Failure, Job, PackError, ShardTask, Summary, pack_shard
from imnetlib.pack.sources import Files, Folder, OnError, Tar
from imnetlib.pack.survey import ShardSurvey, Unreadable, survey_shard

__all__ = [
    "CLASSES", "EXTENSIONS", "Failure", "Files", "Folder", "ImageList", "Job", "OnError",
    "PackError", "Parquet", "ShardSurvey", "ShardTask", "Summary", "Tar", "Unreadable",
    "estimate_shards", "failures_path", "list_archive", "list_flat_folder", "list_folder",
    "list_parquet", "open_parquet", "pack", "pack_shard", "read_lst", "select", "shard_tasks",
    "shuffle", "shuffle_parquet", "split", "survey_shard", "verify_classes_beside", "verify_labels",
    "write_lst",
]  # fmt: skip
