"""Downloads that survive days: resumed after any break, verified and indexed (chapter 1).

No common client joins all three in one pass over 150 GB, which is why this room exists.
"""

from imnetlib.download.state import DownloadError
from imnetlib.download.transfer import Result, download
from imnetlib.download.verify import ArchiveState, verify_archives

__all__ = ["ArchiveState", "DownloadError", "Result", "download", "verify_archives"]
