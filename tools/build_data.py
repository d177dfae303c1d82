"""Rebuild the lists and the WordNet of data/ from pinned packages.

    python tools/build_data.py

Needs the network, pip (for two wheels from PyPI) and Debian's or Ubuntu's apt-get and dpkg (for
WordNet 3.0). The same packages give the same bytes: each download is compared with the SHA-256
written here.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from imnetlib.files import write_atomically

DATA = Path(__file__).parent.parent / "data"

# "PACKAGE VERSION" to the SHA-256 of its file; the same order as in data/README.md.
WHEELS = {
    "timm 1.0.28": "e577b88da96b3a722ea5e2f042455ce6f715d398304d8e63b17d126ed7d89968",
    "tensorflow-datasets 4.9.10": (
        "7ec065f0a628e28152b487ba9cbe72fa36d3854705d9f3abd04c6cf5d7a91527"
    ),
}
DEBS = {
    "wordnet-base 1:3.0-37": "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    "wordnet-sense-index 1:3.0-37": (
        "b22c7d3100470d90f812acc224718e4bd362d7ca427766fa3e11013c8c7895cf"
    ),
}

# A wnid to its words, its gloss and the wnids of its hypernyms.
Synsets = dict[str, tuple[list[str], str, list[str]]]

# WordNet's pointers "is a kind of" and "is an instance of".
HYPERNYM = ("@", "@i")


def main() -> None:
    """Download, convert, write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # apt-get downloads as the user _apt, who must be able to enter.
        folder.chmod(0o755)
        fetch_debs(folder)
        fetch_wheels(folder)
        dictionary = folder / "usr/share/wordnet"
        lexnames = lexnames_of_manual(folder / "usr/share/man/man5/lexnames.5WN.gz")
        lists = folder / "timm/data/_info"
        ids_1k = (lists / "imagenet_synsets.txt").read_text("ascii").split()
        ids_21k = (lists / "imagenet22k_synsets.txt").read_text("ascii").split()
        labels_file = folder / "tensorflow_datasets/datasets/imagenet2012/validation_labels.txt"
        labels = labels_file.read_text("ascii").split()
        synsets = noun_synsets((dictionary / "data.noun").read_text("ascii"))
        write("classes.tsv", class_table(ids_1k, ids_21k, synsets))
        nodes = with_ancestors({*ids_1k, *ids_21k}, synsets)
        write("hypernyms.tsv", edge_table(nodes, synsets))
        write("nouns.tsv", noun_table(synsets.keys() - {*ids_1k, *ids_21k}, synsets))
        write("ilsvrc2012_validation.txt", validation_labels(labels, ids_1k))
        write_zip("nltk_data/corpora/wordnet.zip", wordnet_for_nltk(dictionary, lexnames))


def fetch_debs(folder: Path) -> None:
    """Download the Debian packages and unpack them into ``folder``; nothing is installed."""
    remedy = "run this on Debian or Ubuntu (a container debian:bookworm will do)"
    apt = need("apt-get", remedy)
    dpkg = need("dpkg", remedy)
    for pinned, sha256 in DEBS.items():
        package, version = pinned.split()
        download = [apt, "download", "--quiet", f"{package}={version}"]
        run(download, folder, "; `apt-get update` may be missing")
        run([dpkg, "-x", str(downloaded(folder, package, "deb", sha256)), str(folder)], folder)


def fetch_wheels(folder: Path) -> None:
    """Download the wheels and unpack them into ``folder``."""
    own_pip = importlib.util.find_spec("pip") is not None
    pip = [sys.executable, "-m", "pip"] if own_pip else [need("pip", "install pip")]
    download = [*pip, "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    for pinned, sha256 in WHEELS.items():
        package, version = pinned.split()
        run([*download, f"{package}=={version}"], folder)
        with zipfile.ZipFile(downloaded(folder, package, "whl", sha256)) as wheel:
            wheel.extractall(folder)


def need(program: str, remedy: str) -> str:
    """The path of ``program``, or an error with the remedy."""
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"build_data needs {program}, which is not on this machine: {remedy}")
    return path


def run(command: list[str], folder: Path, hint: str = "") -> None:
    """Run ``command`` in ``folder``; stop with its own message when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}{hint}\n{done.stderr.strip()}")


def downloaded(folder: Path, package: str, ending: str, sha256: str) -> Path:
    """The file of ``package``, once its SHA-256 is the expected one."""
    # PACKAGE_VERSION.deb, or PACK_AGE-VERSION.whl.
    named_as = (f"{package}_*.{ending}", f"{package.replace('-', '_')}-*.{ending}")
    (path,) = (path for pattern in named_as for path in folder.glob(pattern))
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != sha256:
        raise SystemExit(f"{path.name} has SHA-256 {actual}, expected {sha256}")
    return path


def lexnames_of_manual(page: Path) -> str:
    """The table of the 45 lexicographer files as NLTK reads it.

    Debian ships it only in a manual page.
    """
    text = gzip.decompress(page.read_bytes()).decode("ascii")
    # Row 18 has blanks after its name.
    rows = re.findall(r"^(\d\d)\t(\S+) *\t", text, re.MULTILINE)
    if [int(number) for number, _ in rows] != list(range(45)):
        raise SystemExit(f"{page.name} should list 45 lexicographer files, found {len(rows)}")
    part = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}
    return "".join(f"{number}\t{name}\t{part[name.split('.')[0]]}\n" for number, name in rows)


def noun_synsets(text: str) -> Synsets:
    """The synsets of a ``data.noun``, whose lines are described in wndb(5WN)."""
    found = {}
    for line in text.splitlines():
        if is_licence(line):
            continue
        facts, gloss = line.split(" | ", 1)
        fields = facts.split()
        # Each word is followed by its sense number.
        end_of_words = 4 + 2 * int(fields[3], 16)
        words = [word.replace("_", " ") for word in fields[4:end_of_words:2]]
        # Each pointer has four fields: symbol, offset, part of speech, words.
        pointers = fields[end_of_words + 1 :]
        pairs = zip(pointers[::4], pointers[1::4], strict=False)
        hypernyms = [f"n{offset}" for symbol, offset in pairs if symbol in HYPERNYM]
        found[f"n{fields[0]}"] = (words, gloss.strip(), hypernyms)
    return found


def class_table(ids_1k: list[str], ids_21k: list[str], synsets: Synsets) -> str:
    """``classes.tsv``: one row a class of either list, in the order of the ids."""
    in_1k = set(ids_1k)
    in_21k = set(ids_21k)
    rows = ["wnid\tin_1k\tin_21k\tnames\tgloss"]
    for wnid in sorted(in_1k | in_21k):
        names, gloss, _ = synsets[wnid]
        rows.append(
            f"{wnid}\t{int(wnid in in_1k)}\t{int(wnid in in_21k)}\t{', '.join(names)}\t{gloss}"
        )
    return "\n".join(rows) + "\n"


def with_ancestors(wnids: set[str], synsets: Synsets) -> set[str]:
    """``wnids`` and everything above them."""
    found = set(wnids)
    ahead = list(wnids)
    while ahead:
        above = set(synsets[ahead.pop()][2]) - found
        found |= above
        ahead += above
    return found


def edge_table(nodes: set[str], synsets: Synsets) -> str:
    """``hypernyms.tsv``: one row an edge, sorted by the lower end, then in WordNet's order."""
    rows = [f"{wnid}\t{hypernym}" for wnid in sorted(nodes) for hypernym in synsets[wnid][2]]
    return "\n".join(["wnid\thypernym", *rows]) + "\n"


def noun_table(nodes: set[str], synsets: Synsets) -> str:
    """``nouns.tsv``: hypernyms, names and glosses of nouns that are no classes, sorted by wnid."""
    rows = ["wnid\thypernyms\tnames\tgloss"]
    for wnid in sorted(nodes):
        names, gloss, hypernyms = synsets[wnid]
        rows.append(f"{wnid}\t{' '.join(hypernyms)}\t{', '.join(names)}\t{gloss}")
    return "\n".join(rows) + "\n"


def validation_labels(wnids: list[str], ids_1k: list[str]) -> str:
    """``ilsvrc2012_validation.txt``: the label 0..999 of validation image 1, 2, … one a line."""
    label = {wnid: number for number, wnid in enumerate(sorted(ids_1k))}
    return "".join(f"{label[wnid]}\n" for wnid in wnids)


def wordnet_for_nltk(dictionary: Path, lexnames: str) -> dict[str, str]:
    """The 15 files that NLTK opens, by name: all nouns; of other words only the licence."""
    found = {"lexnames": lexnames}
    for name in ("data.noun", "index.noun", "noun.exc"):
        found[name] = (dictionary / name).read_text("ascii")
    for name in ("index.sense", "cntlist.rev"):
        found[name] = only(is_noun_sense, dictionary / name)
    for part in ("verb", "adj", "adv"):
        found[f"{part}.exc"] = ""
        for name in (f"data.{part}", f"index.{part}"):
            found[name] = only(is_licence, dictionary / name)
    return found


def only(wanted: Callable[[str], bool], path: Path) -> str:
    """The wanted lines of a file, in its order."""
    return "".join(
        line for line in path.read_text("ascii").splitlines(keepends=True) if wanted(line)
    )


def is_noun_sense(line: str) -> bool:
    """A sense key is ``lemma%type:…``, where type 1 is a noun."""
    return line.split("%")[1].startswith("1:")


def is_licence(line: str) -> bool:
    """The files of WordNet open with the licence, in indented lines."""
    return line.startswith(" ")


def write(name: str, text: str) -> None:
    """Write ``data/NAME``."""
    with write_atomically(DATA / name) as out:
        out.write(text.encode("utf-8"))


def write_zip(name: str, files: dict[str, str]) -> None:
    """Write ``data/NAME`` with ``files`` in one folder, sorted by name and without dates."""
    with write_atomically(DATA / name) as out, zipfile.ZipFile(out, "w") as archive:
        archive.writestr(entry("wordnet/"), b"")
        for inside in sorted(files):
            archive.writestr(
                entry(f"wordnet/{inside}"), files[inside], zipfile.ZIP_DEFLATED, compresslevel=9
            )


def entry(name: str) -> zipfile.ZipInfo:
    """A member dated 1980 and made "on Unix", wherever this runs; readable once unpacked."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (0o40755 if info.is_dir() else 0o100644) << 16
    return info


if __name__ == "__main__":
    main()
