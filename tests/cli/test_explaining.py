"""What a network sees, told from its predictions or from images."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from making import encoded, imnet, photo, write_shard
from publishing import as_of_2015, publish, random_arrays, tiny
from trainings import ENGINES

from imnetlib import catalog, evaluate
from imnetlib.engines import Recipe, load_published, save_checkpoint, untrained
from imnetlib.engines.mxnet import checkpoint

# Fir, amabilis fir, spruce, valley, bridge; of 12 classes, so that a node tells something.
WNIDS = (
    "n11620673", "n11621281", "n11624531", "n09468604", "n02898711", "n02510455", "n02084071",
    "n02110185", "n01443537", "n07695965", "n03126707", "n02012849",
)  # fmt: skip
BRIDGE_VALLEY_FIR = ("n02898711", "n09468604", "n11620673")
P = np.array([0.25, 0.15, 0.2, 0.2, 0.18, *[0.02 / 7] * 7])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "synset.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    np.save(tmp_path / "p.npy", np.stack([P, np.roll(P, 3), np.full(12, 1 / 12)]))
    return tmp_path


def told(folder: Path, name: str, *options: object):
    return imnet("explain", folder / name, "--classes", folder / "synset.txt", *options)


def test_a_tree_with_bars(folder: Path):
    done = told(folder, "p.npy", "--first", 1, "--theta", 0.5, "--k", 3)
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.output.splitlines()]
    shown = [" ".join(line.replace("█", "").split()) for line in lines]
    assert shown == [
        f"{folder}/p.npy row 0",
        "conifer 0.60 2.0 bits",
        "├ fir, unspecified 0.25",
        "├ spruce 0.20",
        "└ amabilis fir 0.15",
        "valley 0.20 3.6 bits",
        "bridge 0.18 3.6 bits",
        "anything else 0.02",
        "one answer of mass 0.5: conifer (0.60)",
        f"{folder}/p.npy: 2 more rows (--first)",
    ]
    assert [line.count("█") for line in lines[1:8]] == [18, 8, 6, 4, 6, 5, 1]


def test_json_holds_the_same(folder: Path):
    np.savez(folder / "l.npz", logits=np.log(P)[None])
    for name in ("p.npy", "l.npz"):
        done = told(folder, name, "--json", "--first", 1, "-k", 3)
        (line,) = done.stdout.splitlines()
        found = json.loads(line)
        assert (found["file"], found["row"]) == (str(folder / name), 0)
        assert [node["wnid"] for node in found["nodes"]] == ["n13108841", "n09468604", "n02898711"]
        assert [part["name"] for part in found["nodes"][0]["of"]] == [
            "fir, unspecified",
            "spruce",
            "amabilis fir",
        ]
        assert found["rest"] == pytest.approx(0.02)
        assert "answer" not in found


def test_where_nothing_stands_out(folder: Path):
    done = told(folder, "p.npy")
    assert done.output.splitlines()[-2].strip() == "nothing stands out"


def test_what_chapter_8_wrote_names_its_own_classes(folder: Path):
    batch = (P[None].astype(np.float32), [0], [1])
    evaluate.save_predictions(folder / "kept", WNIDS, [batch], 1)
    done = imnet("explain", folder / "kept", "-k", 1)
    assert done.exit_code == 0
    assert "conifer" in done.output
    assert "valley" not in done.output


@pytest.mark.parametrize("engine", [(), *(("--engine", name) for name in ENGINES)])
def test_images_are_told_by_a_network(folder: Path, engine: tuple[str, ...]):
    save_checkpoint(untrained(Recipe(), WNIDS), folder / "network")
    (folder / "a.jpg").write_bytes(encoded(photo(80, 90, 0)))
    (folder / "b.jpg").write_bytes(b"no image")
    images = (folder / "a.jpg", folder / "b.jpg")
    done = imnet("explain", *images, "--network", folder / "network", *engine)
    assert done.exit_code == 3
    assert f"{folder}/a.jpg\n" in done.stdout
    assert f"{folder}/b.jpg: it is no image" in done.stderr
    assert "1 of 2 images cannot be read" in done.stderr


def test_a_module_of_pytorch_is_told_to_be_one(folder: Path):
    """By MXNet, which is taken unless an engine is named."""
    made = untrained(Recipe(), WNIDS)
    of_timm = dataclasses.replace(made, recipe=Recipe(network="timm:resnet50"))
    save_checkpoint(of_timm, folder / "network")
    (folder / "a.jpg").write_bytes(encoded(photo(80, 90, 0)))
    done = imnet("explain", folder / "a.jpg", "--network", folder / "network")
    assert done.exit_code == 1
    assert "there is no network 'timm:resnet50'" in done.stderr
    assert "a module is for PyTorch: -p engine torch in a chapter, --engine torch" in done.stderr


def test_a_class_alone_is_told_as_unspecified(folder: Path):
    p = np.full(12, 0.01)
    p[0] = 0.89
    np.save(folder / "fir.npy", p[None])
    done = told(folder, "fir.npy")
    assert done.output.splitlines()[1].split()[:3] == ["fir,", "unspecified", "0.89"]
    (node,) = json.loads(told(folder, "fir.npy", "--json").stdout)["nodes"]
    assert (node["wnid"], node["unspecified"], node["of"]) == (WNIDS[0], True, [])


def test_a_long_name_keeps_its_end(tmp_path: Path):
    (tmp_path / "synset.txt").write_text("".join(f"{wnid}\n" for wnid in catalog.wnids_21k()))
    # Its name has 121 characters, as another table is a piece of furniture too.
    certain = np.array([wnid == "n04379243" for wnid in catalog.wnids_21k()], np.float32)
    np.save(tmp_path / "table.npy", certain[None])
    shown = told(tmp_path, "table.npy").output.splitlines()[1]
    assert shown.startswith("  table (a piece of furnitur…s), unspecified 1.00 ███")
    (node,) = json.loads(told(tmp_path, "table.npy", "--json").stdout)["nodes"]
    assert node["name"].endswith("one or more vertical legs), unspecified")


def test_a_published_network_tells_jpegs_as_it_predicts_them(folder: Path):
    network = folder / "published"
    network.mkdir()
    net = tiny(pooling_convention="full")
    arrays = random_arrays(net, 224)
    publish(network, as_of_2015(net), arrays, BRIDGE_VALLEY_FIR)
    data = [encoded(photo(280, 260, seed)) for seed in (0, 1)]
    for name, image in zip(("a.jpg", "b.JPEG"), data, strict=True):
        (folder / name).write_bytes(image)
    shard = write_shard(folder / "a.rec", [0, 1], data)
    ((probabilities, _, _),) = checkpoint.predict(load_published(network), [shard])
    done = imnet(
        "explain", folder / "a.jpg", folder / "b.JPEG", "--network", network, "--json", "--theta", 0
    )
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["file"] for each in found] == [f"{folder}/a.jpg", f"{folder}/b.JPEG"]
    for each, row in zip(found, probabilities, strict=True):
        told_of = dict(zip(BRIDGE_VALLEY_FIR, row.tolist(), strict=True))
        assert each["nodes"]
        for node in each["nodes"]:
            assert node["mass"] == pytest.approx(told_of[node["wnid"]], rel=1e-4)
        assert each["rest"] == pytest.approx(
            1 - sum(told_of[node["wnid"]] for node in each["nodes"]), abs=1e-5
        )
        assert each["answer"]["mass"] == pytest.approx(row.max(), rel=1e-4)
    assert found[0]["nodes"] != found[1]["nodes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["p.npy"], "p.npy: give --classes, the wnid of each column"),
        (["a.jpg"], "a.jpg: for images give --network, the folder of a network"),
        (["a.jpg", "--network", "."], ". is no folder of one network; there: none"),
        (["p.npy", "--classes", "two.txt"], "p.npy has 12 columns and two.txt 2 classes: give the"),
        (["bad.npy", "--classes", "synset.txt"], "bad.npy row 0: the outputs sum to 12, not 1: "),
        (["cold.npy", "--classes", "synset.txt"], "cold.npy row 0: an output is negative, -0.5: "),
        (["gone.npy", "--classes", "synset.txt"], "gone.npy row 0: the outputs sum to nan, not 1"),
        (
            ["gone.npy", "--classes", "synset.txt", "--logits"],
            "gone.npy, row 0 of the scores holds NaN or infinity",
        ),
        (
            ["ruled_out.npy", "--classes", "synset.txt", "--logits"],
            "ruled_out.npy, row 0 of the scores holds NaN or infinity",
        ),
        (["p.npz", "--classes", "synset.txt", "--logits"], "p.npz holds probabilities: leave out"),
        (["UPPER.NPY"], "UPPER.NPY: give --classes, the wnid of each column"),
        (["kept", "--logits"], "kept is a folder: --classes and --logits are for a .npy"),
        (["kept", "--classes", "synset.txt"], "kept is a folder: --classes and --logits are"),
        *(
            (["a.jpg", "--network", ".", *own], "a.jpg: --classes, --logits and --first are for")
            for own in (["--logits"], ["--classes", "synset.txt"], ["--first", "10"])
        ),
        *(
            (["p.npy", "--classes", "synset.txt", *own], "p.npy: --network and --engine are for")
            for own in (["--network", "."], ["--engine", "torch"])
        ),
        (
            ["pictures", "a.jpg", "--network", "."],
            "pictures holds no predictions of chapter 8: give images as files, pictures/*.jpg",
        ),
        (["p.npy", "--classes", "names.txt"], "names.txt: 'name0' is no noun of WordNet 3.0"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
):
    monkeypatch.chdir(folder)
    (folder / "a.jpg").write_bytes(encoded(photo(80, 90, 0)))
    (folder / "two.txt").write_text("n11620673\nn11621281\n")
    (folder / "names.txt").write_text("".join(f"name{number}\n" for number in range(12)))
    (folder / "pictures").mkdir()
    evaluate.save_predictions(folder / "kept", WNIDS, [(P[None].astype(np.float32), [0], [1])], 1)
    bad = {"bad": np.ones(12), "cold": [*[0] * 9, -0.5, 0.5, 1], "UPPER": P}
    for name, row in {**bad, "gone": [np.nan] * 12, "ruled_out": [-np.inf] * 12}.items():
        np.save(folder / f"{name}.npy", [row])
    (folder / "UPPER.npy").rename(folder / "UPPER.NPY")
    np.savez(folder / "p.npz", probabilities=[P])
    done = imnet("explain", *options)
    assert done.exit_code in (1, 2)
    assert message in done.output


def test_probabilities_taken_for_logits_are_told(folder: Path):
    done = told(folder, "p.npy", "--logits")
    assert "p.npy sum to 1, as probabilities do: leave out --logits" in done.stderr


def test_what_is_known_of_a_row_is_told(folder: Path):
    np.savez(folder / "p.npz", probabilities=[P, P, P], ids=[7, 5, 3], labels=[1, -1, 0])
    assert f"{folder}/p.npz row 0, id 7, label {WNIDS[1]}\n" in told(folder, "p.npz").stdout
    found = [json.loads(line) for line in told(folder, "p.npz", "--json").stdout.splitlines()]
    assert [(each["row"], each["id"]) for each in found] == [(0, 7), (1, 5), (2, 3)]
    assert [each["label"] for each in found] == [WNIDS[1], None, WNIDS[0]]
    np.savez(folder / "p.npz", probabilities=[P], labels=["n02084071"])
    (line,) = told(folder, "p.npz", "--json").stdout.splitlines()
    assert json.loads(line)["label"] == "n02084071"


def test_files_are_told_in_their_order(folder: Path):
    save_checkpoint(untrained(Recipe(), WNIDS), folder / "network")
    (folder / "a.jpg").write_bytes(encoded(photo(80, 90, 0)))
    files = ["a.jpg", "p.npy", "a.jpg"]
    done = imnet(
        *("explain", *(folder / name for name in files), "--network", folder / "network"),
        *("--classes", folder / "synset.txt", "--first", 1, "--json"),
    )
    found = [json.loads(line)["file"] for line in done.stdout.splitlines()]
    assert found == [str(folder / name) for name in files]


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8:strict", "█"), ("cp1252:strict", "#")])
def test_where_signs_or_names_cannot_be_shown_others_are(folder: Path, encoding: str, bar: str):
    name = os.fsdecode(b"latin-\xe9.npy")
    (folder / "p.npy").rename(folder / name)
    command = ["explain", name, "--classes", "synset.txt", "--first", "1"]
    main = [sys.executable, "-c", "from imnetlib.cli import main; main()"]
    environment = os.environ | {
        "PYTHONIOENCODING": encoding,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [*main, *command], cwd=folder, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    first, second, *_ = done.stdout.decode(encoding.partition(":")[0]).splitlines()
    assert first == r"latin-\udce9.npy row 0"
    assert second.split() == ["fir", "0.40", bar * 12, "2.6", "bits"]
    done = imnet("explain", folder / name, "--classes", folder / "synset.txt", "--json")
    assert json.loads(done.stdout.splitlines()[0])["file"] == str(folder / name)


def test_an_engine_that_is_not_installed_is_said_in_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    save_checkpoint(untrained(Recipe(), WNIDS), folder / "network")
    (folder / "a.jpg").write_bytes(encoded(photo(80, 90, 0)))
    message = "PyTorch is not installed: make run ENGINE=torch brings it"

    def missing(name: str) -> None:
        raise ImportError(message, name=name)

    monkeypatch.setattr("imnetlib.course.engine", missing)
    done = imnet("explain", folder / "a.jpg", "--network", folder / "network", "--engine", "torch")
    assert (done.exit_code, done.stderr) == (1, f"Error: {message}\n")
