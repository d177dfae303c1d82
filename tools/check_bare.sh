#!/usr/bin/env bash
# The README's two commands on a bare Debian: git, make, a Python with venv, a user without rights, no more.
#   tools/check_bare.sh bookworm          make run and make test
#   tools/check_bare.sh trixie 0 4 6 7    the environment and these chapters only
# As root. It makes the system by debootstrap in a temporary folder, and checks the commit, not the working tree.
set -euo pipefail
cd "$(dirname "$0")/.."
release=$1
shift

skip() {
  echo "check_bare: skipped, $1"
  exit 0
}
[ "$(id -u)" = 0 ] || skip "it needs root"
[ "$(uname -sm)" = "Linux x86_64" ] || skip "it needs Linux on x86-64"
for tool in unshare chroot wget dpkg-deb apt-get; do
  command -v "$tool" >/dev/null || skip "it needs $tool"
done
if [ -z "${IN_OWN_NAMESPACE:-}" ]; then
  unshare --mount true 2>/dev/null || skip "this machine makes no mount namespace"
  # What is mounted below is mounted for this process alone, and gone with it.
  IN_OWN_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$release" "$@"
fi

folder=$(mktemp -d)
root=$folder/root
finish() {
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$folder"

# debootstrap is shell scripts: unpacked here, it leaves the system as it was.
mkdir "$folder/tool" "$root"
(cd "$folder/tool" && apt-get download -qq debootstrap >/dev/null 2>&1) ||
  { apt-get update -qq && (cd "$folder/tool" && apt-get download -qq debootstrap >/dev/null 2>&1); } ||
  skip "no package server answers"
dpkg-deb -x "$folder"/tool/*.deb "$folder/tool"
DEBOOTSTRAP_DIR=$folder/tool/usr/share/debootstrap "$folder/tool/usr/sbin/debootstrap" --variant=minbase \
  --include=git,make,python3,python3-venv "$release" "$root" http://deb.debian.org/debian >"$folder/log" 2>&1 ||
  { tail -n 3 "$folder/log"; skip "debootstrap makes no $release here"; }

# The way to the network is this machine's own: names, certificates, pip's index.
cp /etc/resolv.conf "$root/etc/"
echo "127.0.0.1 localhost" >"$root/etc/hosts"
settings=()
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_DEFAULT_TIMEOUT http_proxy https_proxy no_proxy; do
  [ -z "${!name:-}" ] || settings+=("$name=${!name}")
done
if [ -n "${PIP_CERT:-}" ]; then
  cp "$PIP_CERT" "$root/etc/certificates.crt"
  settings+=(PIP_CERT=/etc/certificates.crt)
fi
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
chmod 1777 "$root/dev/shm" # as on a machine that was started: processes share memory there
chroot "$root" useradd --create-home reader
# What a reader's machine may have as well: a folder with such a name, another kernel called python3.
course="/home/reader/für alle"
kernel=$root/home/reader/.local/share/jupyter/kernels/python3
git clone --quiet --no-hardlinks . "$root$course"
mkdir -p "$kernel"
echo '{"argv": ["/bin/false"], "display_name": "another", "language": "python"}' >"$kernel/kernel.json"
chroot "$root" chown -R reader:reader /home/reader

in_root() { # as a user would type it, even one without HOME
  echo "check_bare: $release: $*"
  chroot --userspec=reader:reader "$root" env -i PATH=/usr/bin:/bin LANG=C.UTF-8 "${settings[@]}" \
    bash -c "cd '$course' && time $*"
}
if [ $# -gt 0 ]; then
  in_root "make env && .venv/bin/imnet run $*"
else
  in_root make run
  in_root make test
fi
echo "check_bare: $release: all is well"
