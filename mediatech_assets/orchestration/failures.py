"""Errors for people as failures of a Dagster step.

What belongs here: the one way in which a step tells what went wrong. What does not: the messages (`errors.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from mediatech_assets.errors import MediatechError, unusable_file


@contextmanager
def told_to_people() -> Iterator[None]:
    """Fails the step with the message alone: a traceback of ours adds nothing, and a retry would meet the same."""
    try:
        yield
    except MediatechError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except OSError as error:
        raise dg.Failure(description=str(unusable_file(error)), allow_retries=False) from error
