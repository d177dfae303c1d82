#!/usr/bin/env bash
# Rebuild requirements.lock from pyproject.toml, for Python 3.11 and 3.12 on every platform. Needs uv.
# torch is not in it: which build fits depends on the machine's GPU, see README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --extra mxnet --extra course --extra cluster --extra parquet --extra dev \
  --no-annotate --custom-compile-command 'bash tools/lock.sh' --output-file requirements.lock "$@"
