"""All verbs: help, a mention in the course, one sentence for whatever goes wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from forking import imnet_process, print_to_nobody
from making import encoded, imnet, photo, write_shard

from imnetlib.cli import main


def verbs(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every verb and subverb with what one types for it."""
    for name, command in group.commands.items():
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from verbs(command, f"{prefix}{name} ")


VERBS = dict(verbs(main))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_each_of_its_options_has_help(verb: str):
    help_text = VERBS[verb].help or ""
    first, _, rest = help_text.partition("\n")
    assert first.endswith(".")
    assert not rest or rest.startswith("\n")
    options = [param for param in VERBS[verb].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert first in " ".join(imnet(*verb.split(), "--help").output.split())


def test_no_option_takes_what_is_no_number():
    options = [param for verb in VERBS.values() for param in verb.params]
    numbers = [option for option in options if isinstance(option.type, click.types.FloatParamType)]
    assert len(numbers) > 5
    for option in numbers:
        with pytest.raises(click.BadParameter, match="nan is no finite number"):
            option.type.convert("nan", option, None)


@pytest.mark.parametrize("group", [(), ("organize",)])
def test_a_terminal_of_80_columns_shows_a_line_for_each_verb(group: tuple[str, ...]):
    done = CliRunner().invoke(main, [*group, "--help"], terminal_width=80)
    _, _, rows = done.output.partition("Commands:\n")
    shown = [row.split() for row in rows.splitlines()]
    assert [row[0] for row in shown] == sorted(
        name.split()[-1] for name in VERBS if tuple(name.split()[:-1]) == group
    )
    assert all(row[-1].endswith(".") and not row[-1].endswith("..") for row in shown)


@pytest.mark.parametrize("verb", VERBS)
def test_a_guide_or_a_chapter_names_every_verb(verb: str, checkout: Path):
    guides = (checkout / "README.md", checkout / "docs" / "practice.md")
    texts = [guide.read_text(encoding="utf-8") for guide in guides]
    for notebook in (checkout / "notebooks").glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells]
    named = re.compile(rf"\bimnet {verb}(?![\w-])".replace(" ", r"\s+"))
    assert any(named.search(text) for text in texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("organize", "train", "{html}", "{folder}"), "html"),
        (("verify", "{rec}"), "page.rec: no sound record: 1,900 bytes"),
        (("organize", "undo", "{folder}"), "it holds no validation images that were sorted here"),
        (("probe", "{folder}/none"), "Error: probe needs a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_no_traceback(
    tmp_path: Path, arguments: tuple[str, ...], message: str
):
    html = tmp_path / "page.html"
    html.write_text("<html>Log in</html>" * 100)
    rec = Path(shutil.copy(html, tmp_path / "page.rec"))
    done = imnet(*(argument.format(html=html, rec=rec, folder=tmp_path) for argument in arguments))
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output
    assert not done.exception or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_that_has_gone_ends_every_verb_in_silence(verb: str, tmp_path: Path):
    process = imnet_process(
        [*verb.split(), "--help"], tmp_path / "log", {}, partial(print_to_nobody, 1)
    )
    process.join(20)
    assert process.exitcode == 141
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "descriptors", "status"),
    [
        (("explain", "p.npy", "--classes", "classes.txt"), (1,), 141),
        (("explain", "p.npy", "--classes", "classes.txt"), (1, 2), 141),
        (("evaluate", "p.npy", "--classes", "classes.txt", "--labels", "all.lst"), (1,), 141),
        (("verify", "shard.rec"), (1,), 141),
        # Nothing is printed before the fault, and nobody reads what is said of it.
        (("explain", "p.npy", "--classes", "all.lst"), (1, 2), 1),
    ],
)
def test_a_reader_may_go_in_the_middle(
    tmp_path: Path, arguments: tuple[str, ...], descriptors: tuple[int, ...], status: int
):
    np.save(tmp_path / "p.npy", np.eye(2))
    (tmp_path / "classes.txt").write_text("n11620673\nn11621281\n")
    (tmp_path / "all.lst").write_text("0\t0\ta.jpg\n1\t1\tb.jpg\n")
    write_shard(tmp_path / "shard.rec", [0], [encoded(photo(20, 20, 0))])
    words = [tmp_path / word if "." in word else word for word in arguments]
    process = imnet_process(words, tmp_path / "log", {}, partial(print_to_nobody, *descriptors))
    process.join(20)
    assert process.exitcode == status
    assert b"Error" not in (tmp_path / "log").read_bytes()


def test_a_broken_connection_is_reported(monkeypatch: pytest.MonkeyPatch):
    def broken(**_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(main.commands["doctor"], "callback", broken)
    done = imnet("doctor")
    assert (done.exit_code, done.output) == (1, "Error: Broken pipe\n")
