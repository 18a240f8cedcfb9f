"""Files published whole at one address: which version is there now.

What belongs here: asking a host, without a transfer, which version of a file it holds. What does not:
fetching it, or comparing it with what we hold.
"""

from mediatech_assets.records import PublishedFile, versioned_name
from mediatech_assets.sources.download import Upstream


def current_version(upstream: Upstream, url: str, *, name: str, format: str, feed: str) -> PublishedFile:
    """The file that lies at `url` now.

    The stamp is the time of the last change where the host gives one, else the ETag: the host of
    travail-emploi sends no Last-Modified.

    Args:
        upstream: Where to read.
        url: Address of the file.
        name: Base name for its versions.
        format: How to read it (`zip`, `json`).
        feed: Feed of the dataset; empty when there is one.

    Raises:
        UpstreamError: the host does not answer or does not have it.
    """
    facts = upstream.facts(url)
    version = facts.last_modified or facts.etag or ""
    return PublishedFile(
        name=versioned_name(name, facts.etag, facts.last_modified, facts.size),
        url=url,
        kind="snapshot",
        stamp=version,
        format=format,
        feed=feed,
        etag=facts.etag,
        last_modified=facts.last_modified,
        size=facts.size,
    )
