#!/usr/bin/env bash
# Bring the environment in folder $1 in line with requirements.lock, making it first where there is none.
# Makes it with uv where that is installed, else with a Python 3.11 or 3.12 and its venv and pip.
# What this run began it removes again when it fails; an environment that was there before is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
python=$env/bin/python
stamp=$env/.imnetlib-lock

wanted=$(cat requirements.lock pyproject.toml data/nltk_data/corpora/wordnet.zip | cksum)
if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi

fits() { # does $1 run, and is it a Python this project installs on?
  "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' >/dev/null 2>&1
}

find_python() {
  for candidate in python3.11 python3.12 python3 python; do
    if fits "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
if [ "$free_kb" -lt 2500000 ]; then
  echo "The environment needs 2.5 GB; $(pwd) has $((free_kb / 1000)) MB free. Make room, then try again." >&2
  exit 1
fi

made=
log=$(mktemp)
trap 'rm -f "$log"; [ -z "$made" ] || rm -rf "$env"' EXIT

if [ -x "$python" ] && ! fits "$python"; then
  echo "$env holds another Python than 3.11 or 3.12: remove that folder, then try again." >&2
  exit 1
fi

have_uv() { command -v uv >/dev/null && uv --version >/dev/null 2>&1; }

if [ ! -x "$python" ]; then
  made=yes
  base=$(find_python)
  if [ -n "$base" ]; then
    "$base" -m venv "$env"
  elif ! { have_uv && uv venv --quiet --seed --python 3.11 "$env"; }; then
    echo "No Python 3.11 or 3.12 found (with its venv module: python3-venv on Debian and Ubuntu)." \
      "Install one, or uv (https://docs.astral.sh/uv), or run: conda env create -f environment.yml" >&2
    exit 1
  fi
fi

echo "Installing the environment into $env (about 1.1 GB, a few minutes) …"
run() { # quietly, but with the whole story where it fails
  "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "The environment could not be made: see above." >&2; exit 1; }
}
if have_uv; then
  run uv pip install --python "$python" --require-hashes -r requirements.lock
  run uv pip install --python "$python" --no-deps -e .
else
  run "$python" -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
  run "$python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
cp -R data/nltk_data "$env/" # one of the places where NLTK looks; it follows no links out of there
echo "$wanted" >"$stamp"
made=
