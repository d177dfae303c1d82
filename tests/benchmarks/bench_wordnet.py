"""Load the hierarchy in a fresh process beside NLTK's WordNet, and sum predictions along it.

python tests/benchmarks/bench_wordnet.py [--repeat 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np

from imnetlib import wordnet

OURS = "from imnetlib import wordnet; wordnet.load()"
NLTK = (
    "from nltk.corpus import wordnet; wordnet.synset_from_pos_and_offset('n', 13108841).hypernyms()"
)
NUMPY = "import numpy, scipy.sparse"


def seconds(code: str, repeat: int) -> float:
    """The least wall-clock time of a process that runs ``code``, the start of Python included."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    for name, code in (
        ("whole process: wordnet.load()", OURS),
        ("whole process: NLTK, first synset", NLTK),
        ("whole process: NumPy and SciPy alone", NUMPY),
    ):
        print(f"{name:38} {seconds(code, repeat):6.2f} s")
    started = time.perf_counter()
    hierarchy = wordnet.load()
    print(f"{'wordnet.load() alone':38} {time.perf_counter() - started:6.2f} s")
    for images in (1, 256):
        shape = (images, len(hierarchy.classes))
        probabilities = np.full(shape, 1 / shape[1], np.float32)
        started = time.perf_counter()
        for _ in range(repeat):
            hierarchy.mass(probabilities)
        used = 1000 * (time.perf_counter() - started) / repeat
        print(f"{f'masses of {images} x {shape[1]:,} probabilities':38} {used:6.1f} ms")


if __name__ == "__main__":
    main()
