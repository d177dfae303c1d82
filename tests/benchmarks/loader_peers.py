"""How each peer of imnetlib.loader reads the same JPEGs, an epoch at a time.

Every peer takes a Task, writes its records once, and returns a job, which reads one epoch of
batches, PASSES times the records where a peer is fast, by ``workers`` threads or processes, 2
unless the task says otherwise, and returns how many images came. Batches are (n, size, size, 3)
unless the peer says otherwise. Each runs in a process of its own (measure.Apart), so it imports its
library itself.
"PIL" decodes and crops with Pillow and torchvision, as the libraries' documentation does; "ours"
calls the decoder and crops of our own loader instead, so that only the loaders differ.
"""

from __future__ import annotations

import fcntl
import functools
import io
import itertools
import multiprocessing
import random
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from measure import Job
from PIL import Image
from torchvision_import import use_torchvision

from imnetlib import recordio
from imnetlib.image import (
    RANDOM_COLUMNS,
    Transform,
    crop_box,
    decode_into,
    normalization_table,
    write_layout,
)
from imnetlib.loader import Loader, ProcessLoader

# WebDataset hands whole shards to its workers.
SHARDS = 8
# The short edge to which the peers shrink a picture before they take an unscaled crop of 224.
SHORT_EDGE = 256
# How often each record is in one epoch of the fastest readers. FFCV spends 0.2 s of processor time
# on the start of an epoch, and ours ends one with a thread that waits: next to nothing in an epoch
# of ImageNet's, and too much of half a second.
PASSES = 4
Decode = Callable[[bytes], Any]


@dataclass(frozen=True)
class Task:
    """What to read, and how; a peer with a format of its own writes it once into ``folder``."""

    shard: Path
    folder: Path
    transform: Transform
    batch: int
    # Whether the pictures are larger than the crop's surroundings, and a peer shrinks them first.
    resize: bool = False
    # Threads or processes of a reader, whichever it has.
    workers: int = 2


def records(shard: Path) -> Iterator[tuple[int, bytes]]:
    """Label and JPEG of each record."""
    with recordio.RecordReader(shard) as reader:
        for _, record in reader:
            header, jpeg = recordio.unpack(bytes(record))
            yield int(header.label), jpeg


def count_of_records(shard: Path) -> int:
    """How many records the index names."""
    return len(recordio.read_index(shard.with_suffix(".idx"))[0])


def in_passes(task: Task) -> Path:
    """A shard that has each record PASSES times over."""

    def write(path: Path) -> None:
        keys, offsets = recordio.read_index(task.shard.with_suffix(".idx"))
        size = task.shard.stat().st_size
        with path.open("wb") as out:
            for _ in range(PASSES):
                out.write(task.shard.read_bytes())
        at = np.concatenate([offsets + size * number for number in range(PASSES)])
        recordio.write_index(path.with_suffix(".idx"), np.arange(PASSES * len(keys)), at)

    return write_once(task.folder / "passes.rec", write)


def count(batches: Iterable[Any], task: Task) -> int:
    """How many images came, each batch of the size and type that was asked for."""
    size = task.transform.size
    shapes = (size, size, 3), (3, size, size)
    images = 0
    for batch in batches:
        assert tuple(batch.shape[1:]) in shapes, f"{batch.shape} came, not {size} pixels"
        assert str(task.transform.dtype) in str(batch.dtype), f"{batch.dtype} came"
        images += len(batch)
    return images


def in_threads(jpegs: list[bytes], convert: Callable[[int], object], workers: int = 2) -> Job:
    """Threads that call ``convert`` for the number of each JPEG, neither ever idle."""

    def epoch() -> int:
        numbers = iter(range(len(jpegs)))

        def work() -> None:
            for number in numbers:
                convert(number)

        with ThreadPoolExecutor(workers) as pool:
            for done in wait([pool.submit(work) for _ in range(workers)]).done:
                done.result()
        return len(jpegs)

    return epoch


@functools.cache
@functools.cache
def converting(task: Task) -> tuple[list[bytes], Callable[[int], object]]:
    """The JPEGs in memory, and what decodes, crops, mirrors and normalises the n-th of them."""
    jpegs = [jpeg for _, jpeg in records(task.shard)]
    decode = our_decoder(task)
    batch = np.zeros((2 * task.batch, *task.transform.shape), task.transform.dtype)
    return jpegs, lambda number: decode(jpegs[number], batch[number % len(batch)])


def same_work(task: Task) -> Job:
    """No loader: threads decode, crop, mirror and normalise the JPEGs of the memory."""
    return in_threads(*converting(task), task.workers)


def convert_one(task: Task, number: int) -> None:
    """What a process of ``same_work_apart`` does with one JPEG."""
    converting(task)[1](number)


def same_work_apart(task: Task) -> Job:
    """As ``same_work``, by processes of one thread each, so that none waits for Python's lock."""
    images = count_of_records(task.shard)
    # Not ProcessPoolExecutor, whose processes do not end with the one that has it.
    pool = multiprocessing.Pool(task.workers)

    def epoch() -> int:
        pool.map(functools.partial(convert_one, task), range(images), chunksize=16)
        return images

    return epoch


def ours(task: Task) -> Job:
    """Shuffle: all records, exactly, a new order every epoch."""
    loader = Loader([in_passes(task)], task.batch, task.transform, threads=task.workers)
    return lambda: sum(len(batch.ids) - batch.padding for batch in loader)


def ours_apart(task: Task, processes: int) -> Job:
    """As ``ours``, its threads in several processes."""
    loader = ProcessLoader(
        processes=processes,
        shards=[in_passes(task)],
        batch_size=task.batch,
        transform=task.transform,
        threads=task.workers,
    )
    return lambda: sum(len(batch.ids) - batch.padding for batch in loader)


def mxnet_iterator(task: Task) -> Job:
    """ImageRecordUInt8Iter, or ImageRecordIter for float32; NCHW.

    Shuffle: all records, by the .idx.
    """
    from imnetlib.engines.mxnet import mx

    transform = task.transform
    settings = dict[str, Any]()
    if transform.crop == "random_resized":
        low, high = transform.scale
        flat, tall = transform.ratio
        settings = {"random_resized_crop": True, "min_random_area": low, "max_random_area": high}
        settings |= {"min_aspect_ratio": flat, "max_aspect_ratio": tall}
    if transform.mean is not None:
        names = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b")
        settings |= dict(zip(names, transform.mean + transform.std, strict=True))
    if transform.crop != "random_resized" and task.resize:
        settings["resize"] = SHORT_EDGE
    source = (mx.io.ImageRecordUInt8Iter if transform.mean is None else mx.io.ImageRecordIter)(
        path_imgrec=str(task.shard),
        path_imgidx=str(task.shard.with_suffix(".idx")),
        data_shape=(3, transform.size, transform.size),
        batch_size=task.batch,
        shuffle=True,
        rand_mirror=True,
        rand_crop=transform.crop == "random",
        preprocess_threads=task.workers,
        **settings,
    )

    def epoch() -> int:
        source.reset()
        images = 0
        for batch in source:
            batch.data[0].wait_to_read()
            images += task.batch - batch.pad
        return images

    return epoch


def gluon(task: Task) -> Job:
    """DataLoader over ImageRecordDataset with Gluon's transforms, two processes.

    Shuffle: all records, by the .idx.
    """
    from imnetlib.engines.mxnet import mx

    gluon = mx.gluon
    size = task.transform.size
    crops = {
        "center": gluon.data.vision.transforms.CenterCrop(size),
        # Gluon has no random crop of its own.
        "random": lambda image: mx.image.random_crop(image, (size, size))[0],
        "random_resized": gluon.data.vision.transforms.RandomResizedCrop(size),
    }
    crop = crops[task.transform.crop]
    mirror = gluon.data.vision.transforms.RandomFlipLeftRight()
    dataset = gluon.data.vision.ImageRecordDataset(str(task.shard))
    loader = gluon.data.DataLoader(
        dataset.transform_first(lambda image: mirror(crop(image))),
        task.batch,
        shuffle=True,
        num_workers=task.workers,
    )

    def batches() -> Iterator[Any]:
        for images, _ in loader:
            images.wait_to_read()
            yield images

    return lambda: count(batches(), task)


def pillow_transform(task: Task) -> Any:
    """Crop and mirror by torchvision: uint8 (size, size, 3), or normalised float32 CHW."""
    transforms = use_torchvision().transforms
    wanted = task.transform
    crops = {"center": "CenterCrop", "random": "RandomCrop", "random_resized": "RandomResizedCrop"}
    steps = [
        getattr(transforms, crops[wanted.crop])(wanted.size),
        transforms.RandomHorizontalFlip(),
    ]
    if wanted.crop != "random_resized" and task.resize:
        steps.insert(0, transforms.Resize(SHORT_EDGE))
    if wanted.mean is None:
        return transforms.Compose([*steps, np.array])
    scaled = [[value / 255 for value in values] for values in (wanted.mean, wanted.std)]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(*scaled)])


def pillow_decoder(task: Task) -> Decode:
    """Decode with Pillow, crop, mirror and normalise with torchvision."""
    transform = pillow_transform(task)
    return lambda jpeg: transform(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def our_decoder(task: Task) -> Callable[..., np.ndarray]:
    """Decode, crop, mirror and normalise as our loader does; into ``out`` where that is given."""
    wanted = task.transform
    table = normalization_table(wanted)
    direct = table is None and wanted.layout == "NHWC"

    class Canvas(threading.local):
        def __init__(self) -> None:
            self.pixels = np.empty((wanted.size, wanted.size, 3), np.uint8)

    own = Canvas()

    def decode(jpeg: bytes, out: np.ndarray | None = None) -> np.ndarray:
        uniforms = [random.random() for _ in range(RANDOM_COLUMNS)]
        if out is None:
            out = np.empty(wanted.shape, wanted.dtype)
        canvas = out if direct else own.pixels
        decode_into(jpeg, wanted, uniforms, canvas)
        if not direct:
            write_layout(canvas, table, wanted.layout, out)
        return out

    return decode


DECODERS: dict[str, Callable[[Task], Decode]] = {"PIL": pillow_decoder, "ours": our_decoder}


def write_once(path: Path, write: Callable[[Path], object]) -> Path:
    """``path``, written where it is not there yet, by one peer at a time: all start at once."""
    with path.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            write(path)
    return path


def write_folder(folder: Path, shard: Path) -> None:
    """A file for each record, in the folder of its class."""
    for number, (label, jpeg) in enumerate(records(shard)):
        path = folder / str(label) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg)


def torchvision_folder(task: Task, decoder: str) -> Job:
    """ImageFolder in torch's DataLoader, two processes. Shuffle: all files."""
    torchvision = use_torchvision()
    from torch.utils.data import DataLoader

    folder = write_once(task.folder / "files", lambda path: write_folder(path, task.shard))
    # By its own loader, a path is opened by Pillow.
    own = {"transform": pillow_transform(task)}
    swapped = {"loader": lambda path: Path(path).read_bytes(), "transform": our_decoder(task)}
    dataset = torchvision.datasets.ImageFolder(folder, **(own if decoder == "PIL" else swapped))
    loader = DataLoader(
        dataset, task.batch, shuffle=True, num_workers=task.workers, persistent_workers=True
    )
    return lambda: count((images for images, _ in loader), task)


def ffmpeg_filter(task: Task, height: int, width: int) -> str:
    """What FFmpeg shall do to a picture: a crop as ours would be, the scale, the mirror."""
    wanted = task.transform
    uniforms = [random.random() for _ in range(RANDOM_COLUMNS)]
    top, left, rows, columns = crop_box(height, width, wanted, uniforms)
    steps = [f"crop={columns}:{rows}:{left}:{top}", f"scale={wanted.size}:{wanted.size}"]
    if uniforms[0] < 0.5:
        steps.append("hflip")
    return ",".join([*steps, "format=pix_fmts=rgb24"])


def spdl(task: Task, decoder: str) -> Job:
    """SPDL's Pipeline over files, two threads. Shuffle: all files, by the source.

    "FFmpeg" decodes, crops and scales in one filter graph a picture, converts and normalises a
    batch, as its examples do.
    """
    import spdl.io
    import spdl.pipeline
    import torch

    spdl.io.demux_config()
    wanted = task.transform
    folder = write_once(task.folder / "files", lambda path: write_folder(path, task.shard))
    paths = [str(path) for path in folder.rglob("*.jpg")]
    decode = our_decoder(task)

    def frames(path: str) -> Any:
        packets = spdl.io.demux_image(path)
        size = packets.codec.height, packets.codec.width
        return spdl.io.decode_packets(packets, filter_desc=ffmpeg_filter(task, *size))

    def converted(pictures: list[Any]) -> Any:
        batch = spdl.io.to_torch(spdl.io.convert_frames(pictures))
        if wanted.mean is None:
            return batch
        return batch.permute(0, 3, 1, 2).float().sub_(mean).div_(std)

    mean, std = (torch.tensor(of or (0, 0, 0)).view(3, 1, 1) for of in (wanted.mean, wanted.std))
    by_us = (lambda path: decode(Path(path).read_bytes())), np.stack
    picture, collate = (frames, converted) if decoder == "FFmpeg" else by_us

    def batches() -> Iterator[Any]:
        random.shuffle(paths)
        builder = spdl.pipeline.PipelineBuilder().add_source(paths)
        builder = (
            builder.pipe(picture, concurrency=task.workers).aggregate(task.batch).pipe(collate)
        )
        pipeline = builder.add_sink(2).build(num_threads=task.workers)
        with pipeline.auto_stop():
            yield from pipeline

    return lambda: count(batches(), task)


def write_tar(path: Path, shard: Path) -> None:
    """A tar of all records."""
    with tarfile.open(path, "w") as tar:
        for number, (_, jpeg) in enumerate(records(shard)):
            member = tarfile.TarInfo(f"{number:08d}.jpg")
            member.size = len(jpeg)
            tar.addfile(member, io.BytesIO(jpeg))


def turboloader(task: Task) -> Job:
    """TurboLoader's DataLoader over a tar, its pool of compiled threads. Shuffle: all files.

    It normalises by ImageNet's mean and deviation.
    """
    import turboloader

    wanted = task.transform
    if (wanted.crop, wanted.layout, str(wanted.dtype)) != ("random_resized", "NCHW", "float32"):
        raise ValueError("TurboLoader crops and mirrors random-resized float32 NCHW only")
    loader = turboloader.DataLoader(
        str(write_once(task.folder / "set.tar", lambda path: write_tar(path, task.shard))),
        batch_size=task.batch,
        image_size=wanted.size,
        output_format="pytorch",
        transform=turboloader.ImageNetNormalize(),
        shuffle=True,
        train_aug=True,
    )
    epochs = itertools.count()

    def batches() -> Iterator[Any]:
        loader.set_epoch(next(epochs))
        for images, _ in loader:
            yield images

    return lambda: count(batches(), task)


def slipstream(task: Task) -> Job:
    """Not installable by name: no package index has it."""
    raise ValueError("it is on no package index")


def webdataset(task: Task, decoder: str) -> Job:
    """WebLoader, two processes. Shuffle: the shards, then a buffer of 1,000 images in each worker.

    Its ImageNet example also mixes the finished batches of all workers anew, in the main process:
    left out, as it only slows. PIL here does what ``.decode("pil")`` does.
    """
    import webdataset

    def write(folder: Path) -> None:
        samples = list(records(task.shard))
        folder.mkdir()
        writer = webdataset.ShardWriter(
            str(folder / "%06d.tar"), -(-len(samples) // SHARDS), verbose=0
        )
        with writer:
            for number, (label, jpeg) in enumerate(samples):
                writer.write({"__key__": f"{number:08d}", "jpg": jpeg, "cls": label})

    folder = write_once(task.folder / "webdataset", write)
    shards = len(list(folder.glob("*.tar")))
    pattern = str(folder / "{000000..%06d}.tar") % (shards - 1)
    dataset = webdataset.WebDataset(pattern, shardshuffle=shards).shuffle(1000)
    dataset = (
        dataset.to_tuple("jpg", "cls").map_tuple(DECODERS[decoder](task), int).batched(task.batch)
    )
    loader = webdataset.WebLoader(
        dataset, batch_size=None, num_workers=task.workers, persistent_workers=True
    )
    return lambda: count((images for images, _ in loader), task)


def streaming(task: Task, decoder: str) -> Job:
    """MosaicML's StreamingDataset in torch's DataLoader, two processes.

    Shuffle: its default, py1e: shards, then samples within a range of at least 2**18, here all.
    """
    use_torchvision()
    import streaming
    from torch.utils.data import DataLoader

    decode = DECODERS[decoder](task)

    def write(folder: Path) -> None:
        columns = {"image": "bytes", "label": "int"}
        with streaming.MDSWriter(out=str(folder), columns=columns) as writer:
            for label, jpeg in records(task.shard):
                writer.write({"image": jpeg, "label": label})

    # Two datasets of one process may not share a folder.
    folder = write_once(task.folder / f"streaming-{decoder}", write)

    class Decoded(streaming.StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
            sample = super().__getitem__(at)
            return decode(sample["image"]), sample["label"]

    dataset = Decoded(local=str(folder), shuffle=True, batch_size=task.batch)
    loader = DataLoader(dataset, task.batch, num_workers=task.workers, persistent_workers=True)
    return lambda: count((images for images, _ in loader), task)


def _litdata_sample(record: tuple[int, bytes], decoded_there: bool) -> dict[str, Any]:
    from litdata import Jpeg

    label, jpeg = record
    return {"image": Jpeg(bytes=jpeg, max_quality=None) if decoded_there else jpeg, "label": label}


def litdata(task: Task, decoder: str) -> Job:
    """StreamingDataset and StreamingDataLoader, two processes.

    Shuffle: chunks of 64 MB, then the samples in each. "torchvision" is its own way: it stores the
    JPEG, decodes by torchvision's compiled operator and crops the tensor.
    """
    torchvision = use_torchvision()
    import litdata

    own = decoder == "torchvision"
    size = task.transform.size

    def write(folder: Path) -> None:
        litdata.optimize(
            functools.partial(_litdata_sample, decoded_there=own),
            list(records(task.shard)),
            str(folder),
            chunk_bytes="64MB",
            num_workers=1,
            start_method="fork",
            verbose=False,
        )

    folder = write_once(task.folder / f"litdata-{'jpeg' if own else 'bytes'}", write)
    if own:
        v2 = torchvision.transforms.v2
        crops = {
            "center": v2.CenterCrop,
            "random": v2.RandomCrop,
            "random_resized": v2.RandomResizedCrop,
        }
        transform = v2.Compose([crops[task.transform.crop](size), v2.RandomHorizontalFlip()])

        def decode(pixels: Any) -> Any:
            return transform(pixels).permute(1, 2, 0).contiguous()
    else:
        decode = DECODERS[decoder](task)

    class Decoded(litdata.StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, at: Any) -> tuple[Any, int]:
            sample = super().__getitem__(at)
            return decode(sample["image"] if own else bytes(sample["image"])), sample["label"]

    loader = litdata.StreamingDataLoader(
        Decoded(str(folder), shuffle=True),
        batch_size=task.batch,
        num_workers=task.workers,
        persistent_workers=True,
    )
    return lambda: count((images for images, _ in loader), task)


def _store_jpeg(
    destination: Any, jpeg: bytes, malloc: Callable[[int], tuple[int, np.ndarray]]
) -> None:
    """Write what RGBImageField does in its mode "jpg", but the given JPEG and not a new one."""
    from ffcv.fields.rgb_image import IMAGE_MODES

    destination["mode"] = IMAGE_MODES["jpg"]
    destination["height"], destination["width"] = simplejpeg.decode_jpeg_header(jpeg)[:2]
    destination["data_ptr"], storage = malloc(len(jpeg))
    storage[:] = np.frombuffer(jpeg, np.uint8)


class _Records:
    """The records as FFCV's writer wants them: indexed."""

    def __init__(self, shard: Path) -> None:
        self.samples = [(jpeg, label) for label, jpeg in records(shard)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, at: int) -> tuple[bytes, int]:
        return self.samples[at]


def _write_ffcv(path: Path, shard: Path) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    field = RGBImageField(write_mode="jpg")
    field.encode = _store_jpeg
    writer = DatasetWriter(str(path), {"image": field, "label": IntField()}, num_workers=1)
    writer.from_indexed_dataset(_Records(shard))


def ffcv(task: Task) -> Job:
    """FFCV's Loader, two threads of compiled code, os_cache.

    Shuffle: all records (OrderOption.RANDOM). It decodes with libjpeg-turbo's fast, less exact
    inverse DCT and shrinks by area. Its documentation normalises on the GPU; here the processor
    does, as for the others.
    """
    from ffcv.fields import decoders
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage

    transform = task.transform
    if transform.crop == "random":
        raise ValueError("FFCV has no random crop without scaling")
    square = (transform.size, transform.size)
    if transform.crop == "center":
        decoder = decoders.CenterCropRGBImageDecoder(square, transform.share)
    else:
        decoder = decoders.RandomResizedCropRGBImageDecoder(
            square, transform.scale, transform.ratio
        )
    image = [decoder, RandomHorizontalFlip(0.5)]
    if transform.mean is not None:
        mean, std = (np.array(values, np.float32) for values in (transform.mean, transform.std))
        image.append(NormalizeImage(mean, std, np.float32))
    image.append(ToTensor())
    if transform.layout == "NCHW":
        image.append(ToTorchImage(channels_last=False))
    loader = Loader(
        str(write_once(task.folder / "set.beton", lambda path: _write_ffcv(path, task.shard))),
        batch_size=task.batch,
        num_workers=task.workers,
        os_cache=True,
        indices=np.tile(np.arange(count_of_records(task.shard)), PASSES),
        order=OrderOption.RANDOM,
        drop_last=False,
        pipelines={"image": image, "label": [decoders.IntDecoder(), ToTensor()]},
    )
    return lambda: count((images for images, _ in loader), task)
