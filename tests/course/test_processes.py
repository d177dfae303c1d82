"""Programs in several processes, started as a cell does."""

from __future__ import annotations

from pathlib import Path

import pytest

from imnetlib.course import torchrun


def program(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(f"import os\nimport sys\n\n{text}\n")
    return path


def test_each_process_has_its_number_and_its_share_of_the_cores(tmp_path: Path):
    names = "'RANK', 'WORLD_SIZE', 'OMP_NUM_THREADS'"
    # In one piece: both write to one pipe, and print may write word by word.
    words = f"['ran', *map(os.environ.get, ({names})), sys.argv[1]]"
    path = program(tmp_path, f"sys.stdout.write(' '.join({words}) + '\\n')")
    printed = torchrun(path, tmp_path, processes=2)
    ran = sorted(line.split() for line in printed.splitlines() if line.startswith("ran"))
    assert [(words[1], words[2], words[4]) for words in ran] == [
        ("0", "2", str(tmp_path)),
        ("1", "2", str(tmp_path)),
    ]
    assert all(int(words[3]) >= 1 for words in ran)


@pytest.mark.parametrize(("on_gpus", "seen"), [(False, "none"), (True, "'0'")])
def test_gpus_are_hidden_unless_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpus: bool, seen: str
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    path = program(tmp_path, "print('GPUs', repr(os.environ['CUDA_VISIBLE_DEVICES'] or 'none'))")
    printed = torchrun(path, processes=1, on_gpus=on_gpus)
    assert f"GPUs {seen}" in printed.replace("'none'", "none")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("sys.exit(f\"number {os.environ['RANK']} gives up\")", "number . gives up"),
        ("raise MemoryError('about 12 fit: lower batch_size')", "MemoryError: about 12 fit: lower"),
        ("os.kill(os.getpid(), 9)", ""),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_failing_process_says_is_raised(
    tmp_path: Path, does: str, said: str, processes: int
):
    path = program(tmp_path, does)
    with pytest.raises(
        RuntimeError, match=rf"(?s)^torchrun ended with status 1:.*{said}.*failed \(exitcode[^\n]*$"
    ):
        torchrun(path, processes=processes)


def test_no_process_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="processes are 1 or more, not 0"):
        torchrun(tmp_path / "program.py", processes=0)
