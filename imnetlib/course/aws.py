"""S3 and EC2 for a chapter: moto's imitation on this machine, or Amazon's own (chapter 5)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from imnetlib.course.root import Root

# Where boto3 and moto would look for settings of yours, and what they find there meanwhile.
NO_SETTINGS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Cloud:
    """Clients of boto3, and where their requests go."""

    s3: Any
    ec2: Any
    where: str


@contextmanager
def open_cloud(root: Root, region: str, bucket: str) -> Iterator[Cloud]:
    """Clients for ``root``: of an imitation for a miniature, else of your AWS account.

    The imitation has an empty ``bucket``, and forgets everything at the end. Elsewhere boto3 finds
    the keys in its usual places, and the bucket must exist; PermissionError where there are none.
    """
    import boto3

    if not root.is_miniature:
        session = boto3.session.Session(region_name=region)
        if session.get_credentials() is None:
            raise PermissionError(
                f"{root.root} is no miniature, so its shards go to your AWS account, and boto3 "
                "finds no keys for it: make them known by `aws configure`"
            )
        yield Cloud(session.client("s3"), session.client("ec2"), f"AWS, {region}")
        return
    with local_endpoint() as url:
        s3 = local_client("s3", url, region)
        ec2 = local_client("ec2", url, region)
        # S3 refuses this region's name as a constraint: it is the default.
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **(elsewhere if region != "us-east-1" else {}))
        yield Cloud(s3, ec2, "moto on this machine")


def local_client(service: str, url: str, region: str) -> Any:
    """A client with made-up keys that talks to ``url`` alone, whatever proxy is set here."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session("course", "course", region_name=region)
    return session.client(service, endpoint_url=url, config=Config(proxies={}))


@contextmanager
def local_endpoint() -> Iterator[str]:
    """The address of moto's imitation of AWS on a free port, empty at the start and at the end.

    Meanwhile this process sees neither your keys nor your settings of AWS: moto reads them too.
    """
    with _without_your_settings():
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            _command(host, port, "reset")
            # The same ids each time.
            _command(host, port, "seed?a=0")
            yield f"http://{host}:{port}"
        finally:
            _command(host, port, "reset")
            server.stop()


def _command(host: str, port: int, command: str) -> None:
    """Send a command to moto itself, whose state outlives each server of this process."""
    # Unlike requests and urllib, it uses no proxy.
    from http.client import HTTPConnection

    with closing(HTTPConnection(host, port)) as connection:
        connection.request("POST", f"/moto-api/{command}")
        connection.getresponse().read()


@contextmanager
def _without_your_settings() -> Iterator[None]:
    # A line per request would end up in the reader's notebook.
    log = logging.getLogger("werkzeug")
    level = log.level
    yours = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    os.environ.update(NO_SETTINGS)
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
        for name in NO_SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(yours)
