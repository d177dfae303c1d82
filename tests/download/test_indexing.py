"""A tar is indexed while it arrives."""

from pathlib import Path

import pytest
from downloading import MD5, NAME, Fault, assert_whole, fetch, names_beside, serve, tar_of_images

from imnetlib import download
from imnetlib.archive import TarIndex, index_tar
from imnetlib.download import DownloadError


@pytest.mark.parametrize(
    "breaks", [[], [Fault(drop_after=1)], [Fault(drop_after=300_000)]], ids=len
)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_tar_is_indexed_while_it_arrives(
    site: Path, target: Path, breaks: list[Fault], ranges: bool
):
    """The index is that of the whole file, also when bytes came in two calls, or twice."""
    (site / NAME).write_bytes(tar_of_images(90))
    with serve(site, [*breaks, Fault(ignore_range=not ranges)]) as base:
        if breaks:
            with pytest.raises(DownloadError):
                download.download(base + NAME, target, attempts=1, index=True)
        result = download.download(base + NAME, target, index=True)
    assert result.index == target.with_name("set.tar.npz")
    kept = TarIndex.load(result.index)
    made = index_tar(target)
    assert kept.path == target
    assert kept.names.tolist() == made.names.tolist()
    assert kept.offsets.tolist() == made.offsets.tolist()
    assert names_beside(target) == [NAME, f"{NAME}.npz"]
    result.index.unlink()
    # As after a kill before the index was saved.
    with serve(site) as base:
        again = download.download(base + NAME, target, index=True)
    assert (again.bytes_fetched, again.index) == (0, target.with_name("set.tar.npz"))
    assert again.index.exists()


def test_a_file_that_cannot_be_indexed_is_a_download_all_the_same(
    site: Path, target: Path, caplog: pytest.LogCaptureFixture
):
    result = fetch(site, target, index=True, md5=MD5)
    assert_whole(result, target)
    assert result.index is None
    assert f"no index: {target} has no valid tar header at byte 0" in caplog.text
    with pytest.raises(DownloadError):
        fetch(site, target.with_name("b.tar"), Fault(flip=5000), index=True, md5=MD5)
    assert not target.with_name("b.tar.npz").exists()
