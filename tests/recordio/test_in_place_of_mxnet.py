"""What MXNet's own tests ask of mxnet.recordio, asked of the module that stands in its place."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from making import jpeg

from imnetlib import recordio
from imnetlib.engines.mxnet import mx

# Characters of one byte and of two.
CHARACTERS = [chr(number).encode() for number in range(255)]


def test_what_a_deleted_writer_wrote_is_there(tmp_path: Path):
    """MXNet's programs seldom close: the end of the last reference does."""
    path = str(tmp_path / "a.rec")
    writer = recordio.MXRecordIO(path, "w")
    for character in CHARACTERS:
        writer.write(character)
    del writer
    reader = recordio.MXRecordIO(path, "r")
    assert list(iter(reader.read, None)) == CHARACTERS
    reader.reset()
    assert reader.read() == CHARACTERS[0]
    theirs = mx.recordio.MXRecordIO(path, "r")
    assert list(iter(theirs.read, None)) == CHARACTERS


def test_what_a_deleted_indexed_writer_wrote_is_there(tmp_path: Path):
    names = str(tmp_path / "a.idx"), str(tmp_path / "a.rec")
    writer = recordio.MXIndexedRecordIO(*names, "w")
    for number, character in enumerate(CHARACTERS):
        writer.write_idx(number, character)
    del writer
    reader = recordio.MXIndexedRecordIO(*names, "r")
    keys = reader.keys
    assert sorted(keys) == list(range(255))
    random.Random(1).shuffle(keys)
    assert [reader.read_idx(key) for key in keys] == [CHARACTERS[key] for key in keys]


def test_any_number_of_labels_comes_back():
    rng = np.random.default_rng(2)
    for count in range(1, 255):
        content = rng.bytes(255 - count)
        label = rng.random(count, np.float32)
        payload = recordio.pack((0, label, 0, 0), content)
        for module in (recordio, mx.recordio):
            header, unpacked = module.unpack(payload)
            assert unpacked == content
            assert header.flag == count
            assert np.array_equal(header.label, label)


@pytest.mark.parametrize("workers", [0, 2])
def test_gluons_datasets_read_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int):
    """In workers as well, which are forked and get a pickled copy."""
    writer = recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w")
    for number in range(40):
        header = recordio.IRHeader(0, float(number), number, 0)
        writer.write_idx(number, recordio.pack(header, jpeg(seed=number)))
    writer.close()
    images = mx.gluon.data.vision.ImageRecordDataset(str(tmp_path / "a.rec"))
    expected = [images[number][0].asnumpy() for number in range(40)]
    for module in (mx.gluon.data.dataset, mx.gluon.data.vision.datasets):
        monkeypatch.setattr(module, "recordio", recordio)
    ours = mx.gluon.data.vision.ImageRecordDataset(str(tmp_path / "a.rec"))
    loader = mx.gluon.data.DataLoader(ours, batch_size=8, shuffle=True, num_workers=workers)
    seen = {}
    for pixels, labels in loader:
        seen |= dict(zip(labels.asnumpy().tolist(), pixels.asnumpy(), strict=True))
    assert sorted(seen) == list(range(40))
    assert all(np.array_equal(seen[number], expected[number]) for number in range(40))
