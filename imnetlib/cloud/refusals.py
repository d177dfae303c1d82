"""What AWS, the keys or the network refuse of EC2, as one sentence with a way out (chapter 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class DeployError(OSError):
    """What EC2 did not do, and what to do about it; another call goes on from what is there."""


_KEYS = "these keys are not valid here: look at `aws configure list`, and at this machine's clock"
_EXPIRED = "these keys have expired: log in again"
_ELSEWHERE = "is it in this region, and of this account?"
_QUOTA = "raise the quota under Service Quotas in the console, or take fewer or smaller ones"
_LATER = "AWS is busy: the same command later goes on"
# What to do, by the code of AWS's answer.
_WAYS_OUT = {
    "AuthFailure": _KEYS,
    "InvalidClientTokenId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidSignatureException": _KEYS,
    "MissingAuthenticationToken": _KEYS,
    "RequestExpired": _EXPIRED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "OptInRequired": "this account has not enabled this region or service",
    "PendingVerification": "AWS has not verified this account yet: wait for its mail",
    "Blocked": "AWS has blocked this account: see its mail",
    "InvalidAMIID.NotFound": f"no such image: {_ELSEWHERE}",
    "InvalidAMIID.Malformed": "an image's id looks like ami-0123456789abcdef0",
    "InvalidAMIID.Unavailable": "the image is not, or no longer, to be had",
    "InvalidSnapshot.NotFound": f"no such snapshot: {_ELSEWHERE}",
    "InvalidVolume.NotFound": f"no such volume: {_ELSEWHERE}",
    "InvalidInstanceID.NotFound": f"no such machine: {_ELSEWHERE}",
    "InvalidInstanceID.Malformed": "a machine's id looks like i-0123456789abcdef0",
    "InvalidKeyPair.NotFound": f"no such key pair: {_ELSEWHERE}",
    "InvalidGroup.NotFound": f"no such security group: {_ELSEWHERE}",
    "InvalidSubnetID.NotFound": f"no such subnet: {_ELSEWHERE}",
    "InvalidVolume.ZoneMismatch": "a volume is attached in its own zone only",
    "VolumeInUse": "detach it from where it is, or wait a moment",
    "InvalidSnapshot.InUse": "an image is made of it: deregister the image first",
    "InsufficientInstanceCapacity": "try another zone or kind of machine, or later",
    "InsufficientVolumeCapacity": "try another zone or type of volume, or later",
    "Unsupported": "try another zone or kind of machine",
    "InvalidParameterCombination": "the image and the kind of machine do not fit together",
    "VcpuLimitExceeded": _QUOTA,
    "InstanceLimitExceeded": _QUOTA,
    "VolumeLimitExceeded": _QUOTA,
    "MaxIOPSLimitExceeded": _QUOTA,
    "SnapshotLimitExceeded": _QUOTA,
    "PendingSnapshotLimitExceeded": _QUOTA,
    "ConcurrentSnapshotLimitExceeded": _QUOTA,
    "AttachmentLimitExceeded": "detach another volume, or take a larger machine",
    "IdempotentInstanceTerminated": "the same request was made minutes ago, and what it made is "
    "gone: wait ten minutes",
    "IdempotentParameterMismatch": "another request was made minutes ago: wait ten minutes",
    "RequestLimitExceeded": _LATER,
    "Unavailable": _LATER,
    "InternalError": _LATER,
    "ServiceUnavailable": _LATER,
}
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
# What botocore raises before an answer is there, by the name of its class.
_NO_ANSWER = {
    "NoCredentialsError": "no keys of AWS were found: make them known by `aws configure`",
    "PartialCredentialsError": "of the keys of AWS one part is missing: see `aws configure`",
    "NoRegionError": "no region is set: give --region, or set AWS_DEFAULT_REGION",
}
_ENDS = "the network, --region and --endpoint-url decide where requests go; another call goes on"
_NO_EC2 = f"what answers is no EC2 ({_ENDS})"


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn whatever boto3 raises into a DeployError; also a decorator."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise DeployError(refusal(error)) from error
    except BotoCoreError as error:
        told = _NO_ANSWER.get(type(error).__name__)
        raise DeployError(told or f"{_plain(str(error)).rstrip('.')} ({_ENDS})") from error
    except (ResponseParserError, KeyError) as error:
        # A KeyError is of an answer that has not what EC2's has.
        raise DeployError(_NO_EC2) from error


def refusal(error: Any) -> str:
    """The sentence for one ClientError: operation, code, what AWS says, and the way out."""
    answer = error.response.get("Error", {})
    code = answer.get("Code")
    if not code:
        return _NO_EC2
    message = _plain(answer.get("Message") or "")
    head = f"AWS refuses {error.operation_name} ({code})"
    if code in _DENIED:
        return f"{head}: {_missing_right(error.operation_name, message)}"
    way_out = _WAYS_OUT.get(code)
    said = f"{head}: {message.rstrip('.')}" if message else head
    return f"{said}: {way_out}" if way_out else said


def _missing_right(operation: str, message: str) -> str:
    """The right that is missing, as far as AWS says; its secret message can be decoded by AWS."""
    said, _, encoded = message.partition("Encoded authorization failure message:")
    # With a machine's profile it may be iam:PassRole, with an encrypted volume one of kms.
    named = re.search(r"perform:? (\w+:\w+)", said)
    right = named[1] if named else f"ec2:{operation}"
    reason = re.search(r"because ([^.]*)", said)
    told = f"these keys lack the right {right}"
    if reason:
        told = f"{told} ({reason[1].strip()})"
    if encoded.strip():
        command = "aws sts decode-authorization-message --encoded-message"
        told = f"{told}; an administrator reads more by {command} {encoded.strip()}"
    return told


def _plain(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
