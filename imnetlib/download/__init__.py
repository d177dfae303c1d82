"""Downloads that survive days: resumed after any break, verified and indexed on the way (chapter
1).
"""

from imnetlib.download.state import DownloadError
from imnetlib.download.transfer import Result, download
from imnetlib.download.verify import ArchiveState, verify_archives

__all__ = ["ArchiveState", "DownloadError", "Result", "download", "verify_archives"]
