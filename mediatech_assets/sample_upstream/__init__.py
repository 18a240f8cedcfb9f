"""A small upstream in the true formats, written by us, for work without a network.

What belongs here: the texts (readable Python modules, no binaries), their formats, and the function that
writes them as a tree `<host>/<path>`, which `MEDIATECH_UPSTREAM_BASE` can name. What does not: reading it.
The platform must not know that it reads a sample.

**The texts are invented.** They are plausible, so that questions find answers; they are not the law.
"""

from mediatech_assets.sample_upstream.builder import build_sample_upstream, expected_ids
from mediatech_assets.sample_upstream.hosted import SAMPLE_DAYS

#: Ids that a database must hold, by dataset and day.
SAMPLE_EXPECTED = expected_ids()

__all__ = ["SAMPLE_DAYS", "SAMPLE_EXPECTED", "build_sample_upstream"]
