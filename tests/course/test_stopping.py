"""A stop at a chosen moment, and a figure that is drawn anew while a block runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import IPython.display
import pytest

from imnetlib.course import killed_when, plots, stopped_when


class TestStoppedWhen:
    def test_a_block_is_interrupted_when_it_happens(self, capsys: pytest.CaptureFixture[str]):
        rounds = []
        with stopped_when(lambda: len(rounds) >= 3):
            for number in range(1_000):
                rounds.append(number)
                time.sleep(0.01)
        assert 3 <= len(rounds) < 1_000
        assert capsys.readouterr().out == "stopped\n"

    def test_a_block_that_ends_before_is_told(self, capsys: pytest.CaptureFixture[str]):
        with stopped_when(lambda: False):
            pass
        time.sleep(0.1)
        assert capsys.readouterr().out == "came to its end before the stop\n"

    def test_what_a_block_raises_comes_through(self):
        with pytest.raises(ValueError, match="its own"), stopped_when(lambda: False):
            raise ValueError("its own")


class TestKilledWhen:
    def test_an_action_is_killed_when_it_happens(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ):
        begun = tmp_path / "begun"
        steps = f"open({str(begun)!r}, 'w'); print('loud', flush=True); import time; time.sleep(60)"
        killed_when(begun.exists, exec, steps.replace("; ", "\n"))
        assert capfd.readouterr() == ("killed\n", "")

    @pytest.mark.parametrize("steps", ["", "raise ValueError('its own')"])
    def test_an_action_that_ends_before_is_told(
        self, steps: str, capfd: pytest.CaptureFixture[str]
    ):
        killed_when(lambda: False, exec, steps)
        assert capfd.readouterr() == ("came to its end before the kill\n", "")


class Output:
    """A cell's output: what is shown in it, again and again in the same place."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.changed = threading.Event()

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Output:
        assert raw
        assert display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(bundle)
        self.changed.set()


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Output:
    found = Output()
    monkeypatch.setattr(IPython.display, "display", found.display)
    monkeypatch.setattr(plots, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setenv("IMNETLIB_FIGURES", str(tmp_path))
    return found


def drawn(points: list[int]) -> plots.Drawing:
    figure, axis = plots.axes(2, 2)
    axis.plot(points)
    return plots.Drawing(figure, f"a line of {len(points)}")


class TestLive:
    def test_a_figure_is_drawn_anew_when_something_changes(self, output: Output, tmp_path: Path):
        points = [0]
        with plots.live("curve", lambda: drawn(points), lambda: len(points)):
            points.append(1)
            assert output.changed.wait(10)
        told = [bundle["text/plain"] for bundle in output.shown]
        assert told == ["a line of 1", "a line of 2", "a line of 2"]
        assert output.shown[0]["image/png"] != output.shown[1]["image/png"]
        # The last is what is saved, and what show would have left.
        final = plots._Drawn.of(drawn(points).figure)
        assert (tmp_path / "curve.png").read_bytes() == final.content
        assert output.shown[-1] == final.bundle("a line of 2")

    def test_nothing_is_drawn_while_nothing_changes(self, output: Output):
        with plots.live("curve", lambda: drawn([0]), lambda: 1):
            time.sleep(0.1)
        assert len(output.shown) == 2

    def test_an_error_leaves_the_figure_of_then(self, output: Output, tmp_path: Path):
        def stopped() -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), plots.live("curve", lambda: drawn([0]), lambda: 1):
            stopped()
        assert (tmp_path / "curve.png").exists()
        assert len(output.shown) == 2
