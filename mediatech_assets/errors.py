"""Errors that a person reads.

What belongs here: the one exception family whose messages are shown to users. Every message names the
thing (file, host, dataset, setting) and the remedy. What does not: programming errors, which stay ordinary
exceptions with a traceback.
"""


class MediatechError(Exception):
    """Something a user can act on.

    Args:
        problem: What happened, naming the file, host, dataset or setting.
        remedy: What to do about it, as an instruction.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.remedy}"


class ConfigurationError(MediatechError):
    """A setting, name or argument that cannot be used."""


class UpstreamError(MediatechError):
    """An upstream host that does not answer, or answers something else than what it publishes."""


class RefusedFileError(MediatechError):
    """A downloaded file that is not what it should be: truncated, another format, hostile."""


class LakeError(MediatechError):
    """The lake cannot be opened or written."""


class InstanceError(MediatechError):
    """Dagster's instance: a configuration that cannot be used, or a storage that does not answer."""


class BusyError(MediatechError):
    """Another process holds what is needed; the message names the holder."""


class EmbeddingError(MediatechError):
    """A model that cannot be loaded, or vectors that break the profile's promise."""


class IndexUnavailableError(MediatechError):
    """A collection that is missing, locked or unreadable."""


class ApprovalError(MediatechError):
    """A release that may not be published: not approved, rejected, changed since, or with a failed check."""


class PublicationError(MediatechError):
    """A sink that did not take a release; the message names the sink and the release."""


def unusable_file(error: OSError) -> ConfigurationError:
    """The error of the operating system (no space, no permission, no such folder) as one for people."""
    place = error.filename or "a file"
    return ConfigurationError(
        f"{place} cannot be used: {error.strerror or error}",
        "free some space or mend its permissions, or set MEDIATECH_HOME to another folder; then run again: "
        "what was committed is kept",
    )
