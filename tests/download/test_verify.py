"""Archives on the disk against what their publisher states."""

import hashlib
from pathlib import Path

from downloading import DATA, MD5, tar_of_images

from imnetlib.archive import TarIndex
from imnetlib.catalog import Archive, Dataset
from imnetlib.download import verify_archives


def test_verify_archives(site: Path):
    known = {
        "whole": MD5,
        "wrong MD5": "0" * 32,
        "wrong size": MD5,
        "unverified": None,
        "missing": MD5,
        "partial": MD5,
    }
    data = {"whole": DATA, "wrong MD5": DATA, "wrong size": DATA[:-1], "unverified": DATA}
    for name, content in data.items():
        (site / name).write_bytes(content)
    (site / "partial.part").write_bytes(b"12345")
    archives = tuple(Archive(name, len(DATA), md5) for name, md5 in known.items())
    states = verify_archives(Dataset("test", 1, 1, 1, archives), str(site))
    assert [state.name for state in states] == [state.state for state in states] == list(known)
    assert [state.bytes for state in states] == [700_001, 700_001, 700_000, 700_001, 0, 5]


def test_verify_archives_leaves_an_index_where_asked(site: Path):
    data = tar_of_images(9)
    others = (Archive("spare.tar", None, MD5), Archive("absent.tar", None, MD5))
    for name in ("whole.tar", "damaged.tar"):
        (site / name).write_bytes(data)
    (site / "spare.tar.part").write_bytes(b"123")
    md5 = hashlib.md5(data).hexdigest()
    archives = (Archive("whole.tar", len(data), md5), Archive("damaged.tar", len(data), MD5))
    states = verify_archives(Dataset("test", 1, 1, 1, archives, others=others), site, index=True)
    assert [(state.name, state.state) for state in states] == [
        ("whole.tar", "whole"),
        ("damaged.tar", "wrong MD5"),
        ("spare.tar", "partial"),
    ]
    assert len(TarIndex.load(site / "whole.tar.npz")) == 9
    assert not (site / "damaged.tar.npz").exists()
