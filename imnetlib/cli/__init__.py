"""``imnet VERB``: the library's long jobs from a terminal, one thin function per verb.

Exit status: 0 done; 1 failed, with one sentence that says why; 2 wrong usage; 3 done, but something
was left out, and a report names it; 128 + n stopped by signal n.
"""

from imnetlib.cli.group import main

__all__ = ["main"]
