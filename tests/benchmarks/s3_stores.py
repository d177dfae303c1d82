"""Servers for S3 beside moto: SeaweedFS, a whole one, and rclone's, which proves no parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
# Seconds until a server counts as broken.
PATIENCE = 60


def client(url: str, secret: str = "secret", **settings: object):
    """A client for a server of this machine, which may be busy; it tries once."""
    settings = {
        **{"connect_timeout": 30, "read_timeout": 30, "max_pool_connections": 8, "proxies": {}},
        **{"retries": {"mode": "standard", "total_max_attempts": 1}, **settings},
    }
    session = boto3.session.Session("key", secret, region_name="us-east-1")
    return session.client("s3", endpoint_url=url, config=Config(**settings))


def program(name: str) -> str | None:
    """The path of a program of this environment, or of this machine."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")


@contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """The address of a SeaweedFS that keeps its data in ``folder``.

    A bucket takes volumes of its own, seven at once. Their number is set here: counted from the
    free disk, as SeaweedFS would, it runs out on a disk that is nearly full.
    """
    names = ["master", "volume", "filer", "s3"]
    ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], _free_ports(8), strict=True))
    user = {"name": "user", "actions": ["Admin", "Read", "Write", "List"]}
    user["credentials"] = [{"accessKey": "key", "secretKey": "secret"}]
    folder.mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [user]}))
    options = [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"),
        *("-volume.max=500", "-volume.minFreeSpace=1MiB", "-volume.preStopSeconds=0"),
        "-master.volumeSizeLimitMB=512",
        *(
            f"-dir={folder}",
            f"-s3.config={folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ),
        *(
            f"-{name}.port{suffix}={ports[name + suffix]}"
            for name in names
            for suffix in ("", ".grpc")
        ),
    ]
    with _running(["weed", "server", *options], folder, ports["s3"]) as url:
        yield url


@contextmanager
def rclone(folder: Path) -> Iterator[str]:
    """The address of rclone's server for S3, which keeps its objects as files in ``folder``."""
    folder.mkdir(parents=True)
    (port,) = _free_ports(1)
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", "key,secret", "--vfs-cache-mode", "off"]
    with _running(["rclone", "serve", "s3", *options, str(folder)], folder, port) as url:
        yield url


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    found = program(command[0])
    assert found is not None
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen([found, *command[1:]], stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(url):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    s3 = client(url, read_timeout=2)
    try:
        s3.create_bucket(Bucket="ready")
        s3.put_object(Bucket="ready", Key="ready")
    except (BotoCoreError, ClientError):
        return False
    return True
