#!/usr/bin/env bash
# Bring the environment in folder $1 in line with requirements.lock, and with the locks named after it,
# making it first where there is none: by a Python that fits and its venv and pip, or by uv. PyTorch, in no
# lock since its build depends on the machine, comes with ENGINE=torch, and where MXNet has no wheel.
# What this run began it removes again when it fails; an environment that was there before is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
python=$env/bin/python
locks=(requirements.lock "${@:2}")
machine=$(uname -sm)
[ "$machine" = "Linux x86_64" ] || ENGINE=${ENGINE:-torch}
case ${ENGINE:=mxnet} in
  torch) locks+=(torch) ;;
  mxnet) ;;
  *) echo "ENGINE is mxnet or torch, not $ENGINE." >&2; exit 2 ;;
esac
torch=$(awk -F'"' '/^torch = / { print $2 }' pyproject.toml)

sum() { # the first lock brings the package itself and NLTK's words
  case $1 in
    requirements.lock) cat "$1" pyproject.toml data/nltk_data/corpora/wordnet.zip tools/lend_libraries.py ;;
    torch) echo "$torch" ;;
    *) cat "$1" ;;
  esac | cksum
}
is_installed() { [ -x "$python" ] && [ "$(cat "$env/.$1.sum" 2>/dev/null)" = "$(sum "$1")" ]; }
missing=()
for lock in "${locks[@]}"; do
  is_installed "$lock" || missing+=("$lock")
done
[ ${#missing[@]} -gt 0 ] || exit 0

made=
log=$(mktemp -d)
trap 'rm -rf "$log"; [ -z "$made" ] || rm -rf "$env"' EXIT
stop() { # with one sentence
  echo "$1" >&2
  exit 1
}
run() { # quietly, but with the whole story where it fails
  "$@" >"$log/out" 2>&1 || { cat "$log/out" >&2; stop "The environment could not be made: see above."; }
}
fits() { # does $1 run, and is it a Python this project installs on?
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}
have_uv() { command -v uv >/dev/null && uv --version >/dev/null 2>&1; }

free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free_kb" -ge 2500000 ] ||
  stop "The environment needs 2.5 GB; $(pwd) has $((free_kb / 1000)) MB free. Make room, then try again."
[ ! -x "$python" ] || fits "$python" ||
  stop "$env holds another Python than 3.11 to 3.14: remove that folder, then try again."

if [ ! -x "$python" ]; then
  without_venv=
  made=yes
  for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
    fits "$candidate" || continue
    "$candidate" -c 'import ensurepip, venv' 2>/dev/null || { without_venv=$candidate; continue; }
    run "$candidate" -m venv "$env"
    break
  done
  if [ ! -x "$python" ] && have_uv; then
    run uv venv --seed --python "${without_venv:-3.11}" "$env"
  elif [ ! -x "$python" ] && [ -n "$without_venv" ]; then
    stop "$without_venv has no venv module: install it (Debian and Ubuntu: python3-venv), then try again."
  elif [ ! -x "$python" ]; then
    there=$(python3 --version 2>/dev/null || echo nothing)
    stop "No Python 3.11 to 3.14 found (python3 is $there). Install one, or uv (https://docs.astral.sh/uv), or run: conda env create -f environment.yml"
  fi
fi

# The locks are complete: nothing is left to resolve, and MXNet's word on NumPy, which is outdated, is not asked.
if have_uv; then
  reach() { UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=0 install --dry-run --reinstall packaging; }
  install() { uv pip install --python "$python" --no-deps "$@"; }
else
  reach() { "$python" -m pip download --quiet --no-deps --retries 0 --timeout 15 --dest "$log" packaging; }
  install() { "$python" -m pip install --disable-pip-version-check --no-build-isolation --no-deps "$@"; }
fi
reach >"$log/out" 2>&1 ||
  stop "No package index answers ($(tail -n 1 "$log/out")): check the network, or what \`pip config list\` shows."
[ "$machine" = "Linux x86_64" ] ||
  echo "MXNet has a wheel for Linux on x86-64 only: on $machine the course runs on PyTorch." >&2

install_torch() { # the build for this machine's GPU, without touching what the lock has brought
  awk '/^[a-zA-Z0-9]/ { sub(/ *\\$/, ""); print }' requirements.lock >"$log/locked"
  local for_cpu=https://download.pytorch.org/whl/cpu
  local beside=(--constraint "$log/locked")
  if have_uv; then
    uv pip install --python "$python" --torch-backend auto "${beside[@]}" "$torch" ||
      uv pip install --python "$python" "${beside[@]}" "$torch"
    return
  fi
  nvidia-smi >/dev/null 2>&1 || [ "$machine" != "Linux x86_64" ] ||
    ! "$python" -c "import urllib.request as r; r.urlopen('$for_cpu/torch/', timeout=15)" 2>/dev/null ||
    beside+=(--extra-index-url "$for_cpu")
  "$python" -m pip install --disable-pip-version-check "${beside[@]}" "$torch"
}

echo "Installing the environment into $env (about 1.2 GB, a few minutes) …"
for lock in "${missing[@]}"; do
  if [ "$lock" = torch ]; then
    echo "Installing PyTorch, which takes 1 to 7 GB more, by the GPU that it finds …"
    run install_torch
  else
    run install --require-hashes -r "$lock"
  fi
  [ "$lock" != requirements.lock ] || run install -e .
done
cp -R data/nltk_data "$env/" # one of the places where NLTK looks; it follows no links out of there
made=
if [ "$machine" = "Linux x86_64" ]; then
  run "$python" tools/lend_libraries.py
  "$python" -c 'import imnetlib.engines.mxnet' 2>"$log/out" || {
    echo "MXNet does not import; make run ENGINE=torch runs the course on PyTorch. $(tail -n 1 "$log/out")" >&2
    exit 0 # and no sum is written: the next run tries again
  }
fi
for lock in "${missing[@]}"; do
  sum "$lock" >"$env/.$lock.sum"
done
