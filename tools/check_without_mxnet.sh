#!/usr/bin/env bash
# The whole course on PyTorch, where there is no MXNet: the lock's other packages on Python 3.13 with NumPy 2,
# an environment of its own in a temporary folder (5 GB, most of it CUDA's libraries), a new root.
#   tools/check_without_mxnet.sh          every chapter
#   tools/check_without_mxnet.sh 7 8 9    these only
set -euo pipefail
cd "$(dirname "$0")/.."

python=
for candidate in python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python; do
  if "$candidate" -c 'import venv' 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || { echo "check_without_mxnet: skipped, it needs Python 3.13"; exit 0; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/env"
install() { "$folder/env/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation "$@"; }
time {
  install --no-deps --require-hashes -r requirements.lock
  "$folder/env/bin/pip" uninstall --quiet --yes mxnet
  install -e '.[torch]'
  cp -R data/nltk_data "$folder/env/"
}
imnet=$folder/env/bin/imnet
"$imnet" doctor --root "$folder/root"
time "$imnet" run --root "$folder/root" --out "$folder/out" "$@"
echo "check_without_mxnet: all is well"
