"""What an error of botocore, s3transfer or the network means, as half a sentence (chapter 5)."""

from __future__ import annotations

import errno
import re
from typing import Any

NO_S3 = "what answers is no S3: is there a proxy in between?"
_LONGEST = 300
# What the operations of S3 need, where it is not s3: and their own name.
_RIGHTS = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
}
_OF_THE_BUCKET = {"ListObjectsV2", "ListMultipartUploads"}
_OF_AN_OBJECT = {"HeadObject", "GetObject"}
_MISSING = {"NoSuchKey", "404"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403", "Forbidden", "UnauthorizedAccess"}
_BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"}
_OTHER_REGION = (
    "the bucket lies in another region: name it in AWS_DEFAULT_REGION or in your profile"
)
_CLOCK = "this machine's clock is wrong"
# Each of these holds for every further request too.
_FATAL = {
    "SignatureDoesNotMatch": "the secret key is wrong",
    "InvalidAccessKeyId": "there is no such access key id",
    "ExpiredToken": "the credentials have expired: log in again",
    "ExpiredTokenException": "the credentials have expired: log in again",
    "TokenRefreshRequired": "the credentials have expired: log in again",
    "InvalidToken": "the session token is wrong",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "there is no such bucket",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "301": _OTHER_REGION,
}
_OF_ONE = {
    "BadDigest": "arrived with other bytes than were read here",
    "InvalidDigest": "arrived with other bytes than were read here",
    "XAmzContentChecksumMismatch": "arrived with other bytes than were read here",
    "NoSuchUpload": "its upload was aborted meanwhile",
    "InvalidObjectState": "lies in an archive of S3: have it restored there first",
}
_KINDS = {
    "NoCredentialsError": (
        "boto3 finds no keys: run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY"
    ),
    "FlexibleChecksumError": "other bytes came than S3 has a checksum of",
    "IncompleteReadError": "the connection ended before the last byte",
    "ResponseStreamingError": "the connection broke",
    "ProtocolError": "the connection broke",
    "ConnectionClosedError": "the connection was closed without an answer",
    "ConnectTimeoutError": "no connection within the time limit",
    "ReadTimeoutError": "no answer within the time limit",
    "ResponseParserError": NO_S3,
    # Of what the answer lacks.
    "KeyError": NO_S3,
}
_OF_THE_DISK = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS}


class BackupError(OSError):
    """A backup or a restoration that cannot go on; another call goes on from what was finished."""


class ObjectError(BackupError):
    """A fault of one file or object; the others are done all the same."""


def is_fatal(error: Exception) -> bool:
    """Whether every further file would fail in the same way."""
    if isinstance(error, BackupError):
        return not isinstance(error, ObjectError)
    if isinstance(error, OSError):
        return error.errno in _OF_THE_DISK
    return _code(error) in _FATAL


def is_of_one(error: BaseException) -> bool:
    """Whether an error is about this file or object, and says nothing of the others."""
    return isinstance(error, ObjectError) or _code(error) in _OF_ONE.keys() | _MISSING


def is_missing(error: BaseException) -> bool:
    """Whether S3 says that there is no such object."""
    return _code(error) in _MISSING


def is_wrong(error: BaseException) -> bool:
    """Whether there is no such object, or one whose bytes are not those of its own checksum."""
    return is_missing(error) or type(error).__name__ == "FlexibleChecksumError"


def reason(error: BaseException, place: str) -> str:
    """What an error means; ``place`` is the bucket and the prefix, for a right that is missing."""
    error = _innermost(error)
    code = _code(error)
    if code is not None:
        return _refusal(code, error, place)
    if isinstance(error, BackupError):
        return str(error)
    name = type(error).__name__
    known = _KINDS.get(name)
    # Without the number that Python puts before the system's words.
    text = re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split()))[:_LONGEST]
    if known:
        return f"{known} ({name})"
    from botocore.exceptions import BotoCoreError

    return text if isinstance(error, OSError | BotoCoreError) else f"{name}: {text}"


def _code(error: BaseException) -> str | None:
    """S3's own code of an error, a status where the answer had no body; None for other errors."""
    answer: Any = getattr(error, "response", None)
    if not isinstance(answer, dict) or "Error" not in answer:
        return None
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(answer["Error"].get("Code") or status)


def _refusal(code: str, error: Any, place: str) -> str:
    operation = error.operation_name
    message = error.response["Error"].get("Message", "")
    said = " ".join(f"{code} {message}".split())[:_LONGEST]
    if code in _DENIED:
        return f"this key may not do that: it needs {_right(operation, place)} ({said})"
    meaning = _FATAL.get(code) or _OF_ONE.get(code)
    if code in _MISSING and operation in _OF_AN_OBJECT:
        return "is missing in S3"
    if code in _MISSING and operation in _OF_THE_BUCKET:
        meaning = _FATAL["NoSuchBucket"]
    elif code.startswith("5") or code in _BUSY:
        meaning = "the store fails or is too busy"
    return f"{meaning} ({said})" if meaning else f"S3 refused {operation}: {said}"


def _right(operation: str, place: str) -> str:
    """The right that an operation needs, and on what."""
    right = _RIGHTS.get(operation, f"s3:{operation}")
    bucket, _, prefix = place.partition("/")
    if operation in _OF_THE_BUCKET:
        return f"{right} on the bucket {bucket}" + (f" (prefix {prefix}/)" if prefix else "")
    # S3 does not tell a key that may not list whether an object is missing.
    hint = ", or to see what is missing s3:ListBucket" if operation in _OF_AN_OBJECT else ""
    return f"{right} on {place}/*{hint}"


def _innermost(error: BaseException) -> BaseException:
    """The error inside those that s3transfer and botocore wrap around one."""
    wrapped: Any = getattr(error, "last_exception", None)
    if type(error).__name__ == "HTTPClientError":
        wrapped = getattr(error, "kwargs", {}).get("error")
    return _innermost(wrapped) if isinstance(wrapped, BaseException) else error
