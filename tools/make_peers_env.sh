#!/usr/bin/env bash
# Bring the environment in folder $1 in line with the course's locks and with tests/peers/peers.txt: what
# make peers and make bench hold the library against. Each peer is tried by itself; what could not be
# installed, and why, is in $1/failed.tsv, and the benchmarks say it in the peer's row.
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
[ -x "$env/bin/python" ] || [ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -ge 9000000 ] || {
  echo "The peers' environment needs 9 GB; $(pwd) has less free. Make room, then try again." >&2
  exit 1
}
bash tools/make_env.sh "$env" requirements-dev.lock
sum=$(cat requirements.lock requirements-dev.lock tests/peers/peers.txt | cksum)
# Where all could be installed there is nothing to try again.
[ ! -f "$env/failed.tsv" ] || [ -s "$env/failed.tsv" ] || [ "$(cat "$env/.peers.sum" 2>/dev/null)" != "$sum" ] || exit 0

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
echo "Installing the peers into $env (about 9 GB, some minutes) …"
# Nothing may raise what the locks have brought, above all MXNet's NumPy.
awk '/^[a-zA-Z0-9]/ { sub(/ *\\$/, ""); print }' requirements.lock requirements-dev.lock | sort -u >"$log/locked"
lacks() { # what Debian's packages must bring before $1 can be built or run, and have not
  case $1 in
    ffcv) command -v g++ >/dev/null && pkg-config --exists opencv4 libturbojpeg 2>/dev/null ||
      echo "apt-get install g++ pkg-config libopencv-dev libturbojpeg0-dev" ;;
    spdl) command -v ffmpeg >/dev/null || echo "apt-get install ffmpeg" ;;
  esac
}
: >"$log/failed.tsv"
while IFS=: read -r name arguments; do
  case $name in '' | '#'*) continue ;; esac
  needs=$(lacks "$name")
  if [ -n "$needs" ]; then
    why="it needs more of the system: $needs"
  else
    # shellcheck disable=SC2086  # a list of words
    "$env/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$log/locked" \
      $arguments </dev/null >"$log/out" 2>&1 && continue
    why="pip could not install it: $(grep -m 1 '^ERROR' "$log/out" || tail -n 1 "$log/out")"
  fi
  printf '%s\t%s\n' "$name" "$why" | tee -a "$log/failed.tsv" >&2
done <tests/peers/peers.txt
mv "$log/failed.tsv" "$env/failed.tsv"
echo "$sum" >"$env/.peers.sum"
