"""What a cell has printed: joined, and of each bar the last line."""

from __future__ import annotations

import nbformat
import pytest

from imnetlib.course import streams

DONE = "train: 100%|##########| 60/60 [00:02<00:00, 25.69 batches/s, epoch 1, top-1 38.7%]\n"
HALF = "train:  50%|#####     | 30/60 [00:01<00:01, 25.21 batches/s]\n"


@pytest.mark.parametrize(
    ("text", "left", "timeless"),
    [
        ("", "", ""),
        ("a\nb", "a\nb", "a\nb"),
        (
            f"first\n{HALF}{DONE}last\n",
            f"first\n{DONE}last\n",
            "first\ntrain: 100%|##########| 60/60 [epoch 1, top-1 38.7%]\nlast\n",
        ),
        (HALF, HALF, "train:  50%|#####     | 30/60\n"),
        # A second bar of the same name, and bars of two names.
        (DONE + HALF, DONE + HALF, None),
        (HALF + DONE.replace("train", "judge"), HALF + DONE.replace("train", "judge"), None),
        (f"{HALF}said\n{DONE}", f"{HALF}said\n{DONE}", None),
        # Nearly full, as its percents are rounded; and as a terminal draws it.
        (
            "x: 100%|#########9| 84M/85M [00:01<?]\nx: 100%|##########| 85M/85M [00:01<?]\n",
            "x: 100%|##########| 85M/85M [00:01<?]\n",
            "x: 100%|##########| 85M/85M\n",
        ),
        (
            "x: 100%|█████▉| 84M/85M [00:01<?]\nx: 100%|██████| 85M/85M [00:01<?]\n",
            "x: 100%|██████| 85M/85M [00:01<?]\n",
            "x: 100%|██████| 85M/85M\n",
        ),
        # One that is stopped, and begins anew.
        (HALF + HALF.replace("50%", "10%") + DONE, HALF + DONE, None),
        # As in a terminal.
        ("\r  0%\r 50%\r100%\nend\r\n", "100%\nend\r\n", "100%\nend\r\n"),
        (f"\r{HALF[:-1]}\r{DONE}", DONE, None),
        (
            "pack a: b: 100%|##########| 9/9 [00:01<00:00, 1,534.28 images/s, 73 MB/s]\n",
            None,
            "pack a: b: 100%|##########| 9/9\n",
        ),
        ("x:   5%|5   | 1/20 [00:07<02:13,  7.01s/ images]\n", None, "x:   5%|5   | 1/20\n"),
        ("x:   0%|    | 0.00/8.0M [1:00:07<?, ?B/s]\n", None, "x:   0%|    | 0.00/8.0M\n"),
        ("50% of it | 1/2 [00:01]\n", None, "50% of it | 1/2 [00:01]\n"),
    ],
)
def test_a_bar_is_its_last_line(text: str, left: str | None, timeless: str | None):
    assert streams.last_states(text) == (text if left is None else left)
    if timeless is not None:
        assert streams.last_states(text, timeless=True) == timeless


def test_what_was_handed_over_in_pieces_is_joined():
    new = nbformat.v4.new_output
    out = [new("stream", name=name, text=text) for name, text in (("stdout", "a"), ("stdout", "b"))]
    shown = new("display_data", {"text/plain": "c"})
    err = new("stream", name="stderr", text="d")
    cells = [nbformat.v4.new_code_cell(outputs=[*out, err, shown, new("stream", text=HALF)])]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("e"), *cells])
    streams.settle(notebook)
    assert [o.get("text") for o in notebook.cells[1].outputs] == ["ab", "d", None, HALF]
    assert notebook.cells[1].outputs[2] == shown
