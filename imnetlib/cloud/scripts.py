"""User data, which cloud-init runs as root at a machine's first start: mount a volume, fill one.

Both are for bash; what they print is in /var/log/cloud-init-output.log and on the console.
"""

from __future__ import annotations

import os
import re
import shlex

from imnetlib.arguments import PathLike, require, require_type, whole_number

# The tag by which a filling machine says how it ended; its value is "INSTANCE ok BYTES" or
# "INSTANCE failed: STEP".
MARK = "imnetlib-filled"
# pip takes a file by the parts of its name: NAME-VERSION-PYTHON-ABI-PLATFORM.whl.
_WHEEL = r"s3://[^/]+/(?:.*/)?[^/-]+(?:-[^/-]+){4,5}\.whl"
# The name to ask for. With Nitro the machine shows the disk as /dev/nvme1n1, or 2, or 3.
DEVICE = "/dev/sdf"

_MOUNT = """\
#!/bin/bash
# Mounts the volume labelled {label}, whichever device it is, at {folder}, to read only; \
gives up after {seconds} s.
set -euo pipefail
label={label}
folder={folder}
fail() {{
    echo "$1" >&2
    exit 1
}}
# Without the cache: it may name a disk that has gone.
until devices=$(blkid -c /dev/null -t "LABEL=$label" -o device); do
    if (( SECONDS >= {seconds} )); then
        fail "no volume is labelled $label: was the snapshot taken of the right one?"
    fi
    sleep 1
done
if [[ $devices == *$'\\n'* ]]; then
    fail "several volumes are labelled $label: detach all but one of ${{devices//$'\\n'/, }}"
fi
mkdir -p "$folder"
if mountpoint -q "$folder"; then
    mounted=$(findmnt -n -o SOURCE --mountpoint "$folder")
    if [[ $(readlink -f "$mounted") != $(readlink -f "$devices") ]]; then
        fail "$folder has $mounted mounted, not $devices: choose another folder"
    fi
else
    if [[ -n $(ls -A "$folder") ]]; then
        fail "$folder holds files, which the volume would hide: choose another folder"
    fi
    # noload: a read-only disk replays no journal.
    mount -t ext4 -o ro,noload "$devices" "$folder"
fi
if [[ -z $(find "$folder" -name '*.rec' -print -quit) ]]; then
    fail "$devices is mounted at $folder, but no .rec is on it: was the snapshot taken too early?"
fi
# The table is for later starts: user data run at the first one only.
line="LABEL=$label $folder ext4 ro,noload,nofail 0 0"
if ! grep -qxF "$line" /etc/fstab; then
    if [[ -s /etc/fstab && -n $(tail -c 1 /etc/fstab) ]]; then
        echo >> /etc/fstab
    fi
    echo "$line" >> /etc/fstab
fi
"""

_FILL = """\
#!/bin/bash
# Fills a volume from a backup, proves every file by its checksum, says so in a tag, and ends the \
machine.
set -euo pipefail
volume={volume}
url={url}
package={package}
label={label}
export AWS_DEFAULT_REGION={region}
folder=/mnt/imnetlib
python=/opt/imnetlib/bin
# No commas: the aws command would split the value there.
mark() {{
    aws ec2 create-tags --resources "$volume" \\
        --tags "Key={mark},Value=$(cat /var/lib/cloud/data/instance-id) $1"
}}
finish() {{
    status=$?
    trap - EXIT
    if (( status )); then
        echo "failed: $step" >&2
        umount "$folder" || true
        mark "failed: $step" || true
    fi
    shutdown -h now
}}
step="start"
trap finish EXIT
# Whatever hangs, the machine ends after three days; 1.3 TB on sc1, once its credits are used up,
# take more than one.
shutdown -h +4320

step="find the volume"
# By its id with Nitro, by the name it was asked for with Xen.
find_volume() {{
    for device in {by_id} /dev/xvdf {device}; do
        if [[ -b $device ]]; then
            return 0
        fi
    done
    return 1
}}
until find_volume; do
    if (( SECONDS >= 600 )); then
        echo "$volume was not attached within 600 s" >&2
        exit 1
    fi
    sleep 1
done

step="look what is on the volume"
probed=0
content=$(blkid -p -o export "$device") || probed=$?
if (( probed == 2 )) && cmp -s -n 16777216 "$device" /dev/zero; then
    step="make the file system"
    mkfs.ext4 -q -m 0 -L "$label" "$device"
elif ! grep -qx "LABEL=$label" <<< "$content" || ! grep -qx TYPE=ext4 <<< "$content"; then
    echo "$volume is neither blank nor labelled $label, so nothing is written to it:" >&2
    echo "$content" >&2
    exit 1
fi
mkdir -p "$folder"
mount -t ext4 "$device" "$folder"

step="install imnetlib"
command -v python3.11 || dnf install -y -q python3.11
if [[ $package == s3://* ]]; then
    aws s3 cp --no-progress "$package" /tmp/
    package=/tmp/${{package##*/}}
fi
python3.11 -m venv "${{python%/bin}}"
"$python/pip" install -q "$package" boto3

step="restore the backup"
# What a machine that was killed has left would stay: it had another name.
find "$folder" -regextype posix-extended -type f -regex '.*/\\.[^/]*~[0-9]+~[0-9a-f]{{8}}\\.tmp' \\
    -delete
"$python/imnet" restore "$url" "$folder"
# Once more from the disk, not from memory: each file is read and compared.
step="verify what was written"
umount "$folder"
mount -t ext4 "$device" "$folder"
"$python/imnet" restore "$url" "$folder"
bytes=$(find "$folder" -type f -printf '%s\\n' | awk '{{ n += $1 }} END {{ printf "%.0f", n }}')
umount "$folder"
step="say that it is filled (ec2:CreateTags)"
mark "ok $bytes"
"""


def mount_script(label: str, folder: PathLike, seconds: int = 600) -> str:
    """User data that mount the ext4 volume called ``label`` at ``folder``, read-only (chapter 5).

    It goes by the label, since a device's name depends on the machine, and fails with one sentence
    when another disk is mounted there, when the folder holds files, when two volumes have that
    label, and when no .rec is on the volume. ValueError for a label that ext4 does not take, and
    for a folder that is relative or has spaces, which a line of fstab cannot hold.
    """
    _require_label(label)
    path = os.fspath(folder)
    if not re.fullmatch(r"/[^\s\\#]+", path):
        raise ValueError(f"{path!r} must be an absolute path without spaces")
    whole = whole_number("seconds", seconds)
    return _MOUNT.format(label=label, folder=shlex.quote(path), seconds=whole)


def fill_script(volume: str, url: str, package: str, region: str, label: str = "imagenet") -> str:
    """User data by which a machine fills ``volume`` from a backup, marks it, and ends (chapter 5).

    It makes a file system if the volume is blank, goes on with one of that ``label``, and leaves
    anything else alone. Each file is proved by its CRC32 when it arrives and once more when it is
    read back from the disk; then the volume gets the tag ``MARK``. For Amazon Linux 2023, whose
    aws command and Python 3.11 it takes. The machine's instance profile needs s3:GetObject,
    s3:ListBucket and ec2:CreateTags.

    Args:
        volume: the id of the volume; it may be attached later, within ten minutes.
        url: s3://BUCKET/PREFIX of the backup.
        package: this library, as pip takes it, or s3://BUCKET/NAME.whl.
        region: where the volume is.
        label: of the file system.
    """
    _require_label(label)
    at = "the backup is at s3://BUCKET/PREFIX"
    require_type(url, str, at)
    require(bool(re.match("s3://[^/]", url)), at, url)
    _require_package(package)
    serial = volume.replace("-", "")
    by_id = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
    words = {"volume": volume, "url": url, "package": package, "region": region, "by_id": by_id}
    quoted = {name: shlex.quote(word) for name, word in words.items()}
    return _FILL.format(**quoted, label=label, mark=MARK, device=DEVICE)


def _require_package(package: str) -> None:
    """ValueError for what pip on the machine cannot install, before the machine costs money."""
    rule = "package is what pip shall install"
    require_type(package, str, rule)
    require(bool(package.strip()), rule, package)
    there = "package must be something that the machine can fetch: put the .whl into S3"
    require(package[0] not in "-./~", there, package)
    if package.startswith("s3://"):
        name = "a package in S3 keeps the name that pip gave it, NAME-VERSION-py3-none-any.whl"
        require(bool(re.fullmatch(_WHEEL, package)), name, package)


def _require_label(label: str) -> None:
    require_type(label, str, "a label is a text")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", label):
        raise ValueError(f"{label!r} is no label: take 1 to 16 letters, digits, - and _")
