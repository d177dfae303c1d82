"""The verbs of lists and of packing: list, pack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from imnetlib.cli.common import (
    EXISTING,
    EXISTING_FILE,
    FOLDER,
    LEFT_OUT,
    PATH,
    POSITIVE,
    FiniteRange,
)

if TYPE_CHECKING:
    from imnetlib.archive import TarIndex
    from imnetlib.image import Settings
    from imnetlib.pack import ImageList

Unknown: TypeAlias = Literal["refuse", "keep", "omit"]

SEED = click.IntRange(min=0)
RATIO = FiniteRange(0, 1, min_open=True, max_open=True)
UNKNOWN = click.Choice(["refuse", "keep", "omit"])
ENCODING = click.Choice([".jpg", ".png"])
ON_ERROR = click.Choice(["report", "stop"])
COLOR = click.Choice(["-1", "0", "1"])


@click.command("list", short_help="Write LST, a list of the images of SOURCE.")
@click.argument("source", type=EXISTING)
@click.argument("lst", type=PATH)
@click.option(
    "--labels", type=EXISTING_FILE, help="Labels of flat images: the devkit or Kaggle's .csv."
)
@click.option("--classes", type=EXISTING_FILE, help="The class of label 0, 1, ..., one a line.")
@click.option(
    "--unknown",
    type=UNKNOWN,
    default="refuse",
    help="Images of other classes: keep with label -1, or omit.",
)
@click.option("--extensions", metavar=".A,.B", help="Take these files (default: .jpeg,.jpg,.png).")
@click.option("--seed", type=SEED, help="Shuffle with this seed.")
@click.option("--train-ratio", type=RATIO, help="Split each class into NAME_train and NAME_val.")
def list_(
    source: Path,
    lst: Path,
    labels: Path | None,
    classes: Path | None,
    unknown: Unknown,
    extensions: str | None,
    seed: int | None,
    train_ratio: float | None,
) -> None:
    """Write LST, an image list of SOURCE, and its classes into synset.txt beside it.

    SOURCE is a folder of class folders or of flat images, or an archive's .npz index. Labels number
    the classes in natural order: 10 comes after 9. For another order give a file of their names as
    --classes, such as a synset.txt or Kaggle's LOC_synset_mapping.txt.
    """
    from imnetlib import pack

    if lst.suffix != ".lst":
        raise click.UsageError(f"{lst} is no name for a list: it ends in .lst")
    images = _listed(source, lst, labels, classes, unknown, extensions)
    _describe(images, classes)
    if seed is not None:
        images = pack.shuffle(images, seed)
    parts = {lst: images}
    if train_ratio is not None:
        ratios = (train_ratio, 1 - train_ratio)
        train, validation = pack.split(images, ratios, seed or 0, stratified=True)
        parts = {lst.with_stem(f"{lst.stem}_train"): train}
        parts[lst.with_stem(f"{lst.stem}_val")] = validation
        if not (len(train) and len(validation)):
            raise click.UsageError(f"--train-ratio {train_ratio}: one part would have no image")
    for path, part in parts.items():
        pack.write_lst(part, path)
        click.echo(f"{len(part):,} images: {path}")


def _listed(
    source: Path,
    lst: Path,
    labels: Path | None,
    classes: Path | None,
    unknown: Unknown,
    extensions: str | None,
) -> ImageList:
    from imnetlib import catalog, organize, pack

    _refuse_parquet(source)
    wnids = organize.read_labels(labels) if labels else None
    order = catalog.read_classes(classes) if classes else None
    taken = pack.EXTENSIONS if extensions is None else _extensions(extensions)
    # A listing takes a while.
    _require_same_classes(lst, order)
    if not source.is_dir():
        index = _tar_index(source)
        images = pack.list_archive(index, wnids, order, extensions=taken, unknown=unknown)
    elif wnids is not None:
        images = pack.list_flat_folder(source, wnids, order, extensions=taken, unknown=unknown)
    else:
        images = pack.list_folder(source, order, extensions=taken, unknown=unknown)
    _require_same_classes(lst, images.classes)
    return images


def _refuse_parquet(source: Path) -> None:
    """UsageError for parquet files, which chapters pack without a list."""
    inside = source.is_dir() and any(any(source.glob(f"{deep}*.parquet")) for deep in ("", "*/"))
    if inside or source.suffix == ".parquet":
        folder = source if source.is_dir() else source.parent
        raise click.UsageError(
            f"{source} is of parquet files, which need no list: imnet run 1 2 4 --root ROOT "
            f"-p source {folder} packs them as they are"
        )


def _require_same_classes(lst: Path, classes: Sequence[str] | None) -> None:
    """ValueError where the classes beside a list that is to be written are others."""
    from imnetlib import catalog, pack

    beside = lst.with_name(pack.CLASSES)
    if classes and beside.exists():
        remedy = "take another folder for the list, or remove this file if nothing beside needs it"
        catalog.verify_classes(catalog.read_classes(beside), classes, beside, remedy)


def _extensions(text: str) -> list[str]:
    taken = [extension.strip() for extension in text.split(",")]
    if not all(len(extension) > 1 and extension.startswith(".") for extension in taken):
        raise click.UsageError(f"--extensions has the form .jpg,.webp, not {text}")
    return taken


def _describe(images: ImageList, classes: Path | None) -> None:
    """Say what the labels mean, and how many of them occur."""
    import numpy as np

    names = images.classes
    _show_labels(names, f"the order of {classes}" if classes else "classes in natural order")
    plain = sorted(names)
    if classes is None and list(names) != plain:
        label = next(label for label, name in enumerate(plain) if name != names[label])
        click.echo(
            f"in plain order, that of torchvision's ImageFolder, {label} would be {plain[label]}: "
            "for it give a file of the names in that order as --classes"
        )
    present = np.unique(images.labels[:, 0])
    click.echo(f"{np.count_nonzero(present >= 0):,} of {len(names):,} classes have images")


def _show_labels(names: Sequence[str], origin: str) -> None:
    shown = [f"{label} is {name}" for label, name in enumerate(names)]
    if len(shown) > 4:
        shown[2:-1] = ["…"]
    click.echo(f"labels: {', '.join(shown)} ({origin})")


def _tar_index(source: Path) -> TarIndex:
    from imnetlib.archive import TarIndex, index_path

    if source.suffix != ".npz":
        raise click.UsageError(
            f"{source} is neither a folder nor an .npz index: if it is an archive, give its index, "
            f"{index_path(source)}; imnet index {source} makes it"
        )
    return TarIndex.load(source)


@click.command()
@click.argument("lst", type=EXISTING_FILE)
@click.argument("source", type=EXISTING)
@click.argument("folder", type=FOLDER)
@click.option("--name", help="The shards' name (default: that of LST).")
@click.option("--shards", type=POSITIVE, default=1, help="Number of shards.")
@click.option("--resize", type=POSITIVE, help="Short edge in pixels; no image is enlarged.")
@click.option("--upscale", is_flag=True, help="Enlarge smaller images too, as im2rec does.")
@click.option("--quality", type=int, help="1-100 for .jpg (default 95), 0-9 for .png (default 3).")
@click.option("--center-crop", is_flag=True, help="Cut to a square before resizing.")
@click.option("--encoding", type=ENCODING, default=".jpg", help="Format of images encoded anew.")
@click.option("--color", type=COLOR, default="1", help="1 RGB, 0 gray, -1 as stored.")
@click.option("--pass-through", is_flag=True, help="Store the files' bytes as they are.")
@click.option("--pack-label", is_flag=True, help="Store all labels of an image.")
@click.option("--num-thread", type=POSITIVE, help="Threads (default: one per core; 1 with --dask).")
@click.option("--only", metavar="I::N", help="Pack only shards I, I+N, ...: machine I of N.")
@click.option("--dask", metavar="tcp://HOST:PORT", help="Pack on this Dask cluster.")
@click.option(
    "--on-error", type=ON_ERROR, default="report", help="Report bad images or stop at one."
)
def pack(
    lst: Path,
    source: Path,
    folder: Path,
    name: str | None,
    shards: int,
    num_thread: int | None,
    only: str | None,
    dask: str | None,
    on_error: Literal["report", "stop"],
    **settings: Any,
) -> None:
    """Pack the images of LST into record shards in FOLDER.

    SOURCE is the images' folder, or an archive's .npz index.
    """
    from imnetlib import pack

    # The working directory of a cluster's worker is another one.
    source = source.absolute()
    folder = folder.absolute()
    name = name or lst.stem
    part = _part(only, shards) if only else None
    chosen = _settings(**settings)
    if Path(name).name != name:
        raise click.UsageError(f"--name is the beginning of a file name, not {name}")
    files = pack.Folder(source) if source.is_dir() else pack.Tar(_tar_index(source))
    images = pack.read_lst(lst)
    beside = lst.with_name(pack.CLASSES)
    if images.classes:
        _show_labels(images.classes, str(beside))
    elif not (folder / pack.CLASSES).exists():
        click.echo(f"no class is known by name: list them in the labels' order in {beside}")
    with _cluster(dask) as executor:
        done = pack.pack(
            images,
            files,
            folder,
            name,
            shards=shards,
            settings=chosen,
            threads=num_thread,
            executor=executor,
            only=part,
            on_error=on_error,
        )
    encoded = f"{done.reencoded:,} encoded anew, {done.converted:,} converted"
    click.echo(f"{done.images:,} images: {done.kept:,} kept, {encoded}")
    if done.shards_skipped:
        click.echo(f"{done.shards_skipped:,} of {shards:,} shards were there from an earlier run")
    click.echo(f"{done.bytes_in:,} bytes in, {done.bytes_out:,} out, {done.seconds:.1f} s")
    if done.failures:
        report = pack.failures_path(folder, name, part)
        click.echo(f"left out: {len(done.failures):,} images, see {report}")
        sys.exit(LEFT_OUT)


def _part(text: str, shards: int) -> tuple[int, int]:
    start, _, step = text.partition("::")
    if not (start.isdecimal() and step.isdecimal() and int(start) < int(step)):
        raise click.UsageError(f"--only is I::N, machine I of N, from 0 to N - 1, not {text}")
    if int(step) > shards:
        raise click.UsageError(
            f"--only {text} leaves machines without a part: --shards, the number of all shards, "
            f"is {shards}, and should be {step} or more"
        )
    return int(start), int(step)


def _settings(color: str, quality: int | None, **settings: Any) -> Settings:
    from imnetlib import image

    if settings["pass_through"] and (settings["resize"] or settings["center_crop"]):
        raise click.UsageError(
            "--pass-through stores files as they are: it goes without --resize and --center-crop"
        )
    if settings["upscale"] and not settings["resize"]:
        raise click.UsageError("--upscale needs a --resize")
    if quality is None:
        quality = 95 if settings["encoding"] == ".jpg" else 3
    try:
        return image.Settings(color=int(color), quality=quality, **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """The executor of a Dask cluster; None without an address."""
    if address is None:
        yield None
        return
    from distributed import Client

    with Client(address) as client, client.get_executor(pure=False) as executor:
        if not client.scheduler_info()["workers"]:
            click.echo(f"{address} has no worker yet: waiting for one", err=True)
        yield executor
