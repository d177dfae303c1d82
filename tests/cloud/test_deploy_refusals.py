"""Each refusal of AWS, and each way a network fails, is a sentence with a way out."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from imnetlib import cloud
from imnetlib.cloud import refusals
from imnetlib.course import aws

ARN = "arn:aws:iam::123456789012:user/me"
DENIED = (
    f"You are not authorized to perform this operation. User: {ARN} is not authorized to perform: "
    "{0} on resource: arn:aws:ec2:us-east-1:123456789012:volume/* because no identity-based policy "
    "allows the {0} action."
)
SECRET = "Encoded authorization failure message: Kqrv7rqm0_-x"


@pytest.fixture(scope="module")
def ec2() -> Any:
    return aws.local_client("ec2", "http://127.0.0.1:9", "us-east-1")


def refused(ec2: Any, code: str, message: str = "Message of AWS.") -> str:
    request = cloud.volume_request("n", 1, "us-east-1a")
    with Stubber(ec2) as stub:
        reservations: dict[str, Any] = {"Volumes": []}
        stub.add_response("describe_volumes", reservations)
        stub.add_client_error("create_volume", code, message)
        with pytest.raises(cloud.DeployError) as told:
            cloud.create_volume(ec2, "n", request)
    return str(told.value)


@pytest.mark.parametrize("code", sorted(refusals._WAYS_OUT))
def test_each_code_is_said_with_a_way_out(ec2, code: str):
    told = refused(ec2, code)
    way_out = refusals._WAYS_OUT[code]
    assert told == f"AWS refuses CreateVolume ({code}): Message of AWS: {way_out}"


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("AuthFailure", "keys are not valid"),
        ("ExpiredToken", "have expired"),
        ("InvalidAMIID.NotFound", "is it in this region"),
        ("InsufficientInstanceCapacity", "another zone"),
        ("VcpuLimitExceeded", "raise the quota"),
        ("InvalidVolume.ZoneMismatch", "in its own zone"),
        ("InvalidSnapshot.NotFound", "is it in this region"),
    ],
)
def test_the_way_out_fits(ec2, code: str, part: str):
    assert part in refused(ec2, code)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "ec2:CreateVolume"),
        ("You are not authorized to perform this operation.", "ec2:CreateVolume"),
        (
            DENIED.format("ec2:CreateTags"),
            "ec2:CreateTags (no identity-based policy allows the ec2:CreateTags action)",
        ),
        (
            f"You are not authorized to perform this operation. {SECRET}",
            "ec2:CreateVolume; an administrator reads more by aws sts "
            "decode-authorization-message --encoded-message Kqrv7rqm0_-x",
        ),
    ],
)
@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AccessDenied"])
def test_the_right_that_is_missing_is_named(ec2, code: str, message: str, told: str):
    expected = f"AWS refuses CreateVolume ({code}): these keys lack the right {told}"
    assert refused(ec2, code, message) == expected


def test_a_code_that_is_not_known_is_said_as_aws_says_it(ec2):
    told = refused(ec2, "NewCode", "Two\nlines.")
    assert told == "AWS refuses CreateVolume (NewCode): Two lines"


def test_a_waiter_that_fails_names_what_is_there(ec2, monkeypatch):
    monkeypatch.setattr("imnetlib.cloud.ec2_calls._POLL_SECONDS", 0.01)
    broken = {"VolumeId": "vol-1", "State": "error"}
    with Stubber(ec2) as stub:
        stub.add_response("describe_volumes", {"Volumes": []})
        stub.add_response("create_volume", broken | {"State": "creating"})
        stub.add_response("describe_volumes", {"Volumes": [broken | {"State": "deleted"}]})
        with pytest.raises(cloud.DeployError) as told:
            cloud.create_volume(ec2, "n", cloud.volume_request("n", 1, "us-east-1a"))
    assert "EC2 does not come to 'volume available' within 1 hours" in str(told.value)
    assert "vol-1 exists and costs money; the same command waits on" in str(told.value)


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """The address of something that gives this to each request, or resets the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    if answer is not None:
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        listening.shutdown(socket.SHUT_RDWR)


def http(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


SESSION = boto3.session.Session("made-up", "made-up", region_name="us-east-1")
HTML = b"<html><body>Log in to the hotel's network</body></html>"
ANSWERS = {
    "nothing": None,
    "no HTTP": b"hello\r\n\r\n",
    "a page": http(HTML),
    "other XML": http(b"<?xml version='1.0'?><a><b>c</b></a>"),
    "half an answer": http(b"<DescribeInstancesResponse>", length=500),
    "a page that refuses": http(HTML, "403 Forbidden"),
    "nothing that refuses": http(b"", "403 Forbidden"),
    "a broken gateway": http(HTML, "502 Bad Gateway"),
    "a redirection": http(b"", "302 Found\r\nLocation: http://127.0.0.1:9/"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "call",
    [
        lambda ec2: cloud.list_resources(ec2, "n"),
        lambda ec2: cloud.create_volume(ec2, "n", cloud.volume_request("n", 1, "z")),
        lambda ec2: cloud.rehearse(ec2.create_volume, cloud.volume_request("n", 1, "z")),
    ],
    ids=["list", "create", "rehearse"],
)
def test_whatever_a_network_answers_is_a_sentence(answer: str, call: Callable[[Any], object]):
    with server(ANSWERS[answer]) as url:
        config = Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=5)
        ec2 = SESSION.client("ec2", endpoint_url=url, config=config)
        try:
            told = call(ec2)
        except cloud.DeployError as error:
            told = str(error)
    # A rehearsal that is refused is an answer.
    assert isinstance(told, str)
    assert told != "allowed"
    assert "\n" not in told
    assert re.search(r"another call goes on|AWS refuses|is no EC2", told)
