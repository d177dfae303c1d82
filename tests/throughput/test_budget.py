"""The disk budget, against sums done by hand."""

from imnetlib.throughput import disk_budget


def test_the_disk_budget_of_ilsvrc2012():
    """The archives are 147.9 + 6.7 GB; records of untouched images need about as much as these."""
    rows = disk_budget(images=1_331_167, archive_bytes=154_642_401_280, free=400 * 10**9)
    assert [row.step for row in rows] == [
        "archives",
        "class folders",
        "records",
        "backup of the records",
    ]
    assert [round(row.total / 1e9) for row in rows] == [155, 311, 465, 618]
    assert [row.fits for row in rows] == [True, True, False, False]
    small = disk_budget(1_331_167, 154_642_401_280, 10**12, record_bytes=17_600, keep_backup=False)
    assert small[-1].needs == 1_331_167 * (17_600 + 32)
    assert all(row.fits for row in small)


def test_images_that_are_here_need_room_for_their_records_alone():
    rows = disk_budget(images=100, archive_bytes=10**6, free=2 * 10**6, in_place=True)
    assert [row.needs for row in rows] == [0, 0, 10**6 + 3200, 10**6 + 3200]
    assert [row.fits for row in rows] == [True, True, True, False]
