#!/usr/bin/env bash
# Rebuild the three locks from pyproject.toml, for Python 3.11 to 3.14 on every platform. Needs uv.
# requirements.lock is what the course runs on, requirements-dev.lock what its tests need beside that,
# requirements-site.lock what the reading site and its tests need.
# torch is in neither: which build fits depends on the machine's GPU, see README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # the rest of the arguments says of what
  local file=$1
  shift
  uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command 'bash tools/lock.sh' --output-file "$file" "$@"
}

# Beside the extras: what builds this package, and MXNet on the Pythons where its extra leaves it out,
# because pip can't meet what MXNet asks of NumPy there.
beside=$(mktemp)
trap 'rm -f "$beside"' EXIT
echo "hatchling>=1.27" >"$beside"
echo "mxnet==1.9.1; sys_platform == 'linux' and platform_machine == 'x86_64'" >>"$beside"

lock requirements.lock pyproject.toml "$beside" \
  --extra mxnet --extra course --extra cluster --extra parquet "$@"
lock requirements-dev.lock --group dev --constraints requirements.lock "$@"
lock requirements-site.lock --group site --constraints requirements.lock \
  --constraints requirements-dev.lock "$@"
