"""Processes that are there to be killed in the middle of what they do.

What belongs here: starting them cheaply, and killing them. What does not: what they do (it stands in the tests).

    with mortals(publish_there) as publishing:
        double.meet("POST", "/documents$", before(publishing.kill))
        assert publishing.call(folder, url) == -signal.SIGKILL

One process imports what is needed, and each call is a fork of it: the imports take longer than all the rest. It runs

    python -m mediatech_assets_tests.services.mortals MODULE FUNCTION [ANOTHER MODULE TO IMPORT]…

which reads arguments of the function from standard input, a JSON list of texts a line; it prints the child's number at
once, and its exit code at its end.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Mortals:
    """Calls a function, each time in a process of its own.

    Args:
        program: This module as a program.
    """

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._program = program
        self._child = 0
        self._known = threading.Event()

    def call(self, *arguments: object) -> int:
        """Calls the function, and gives the exit code of its process: 0, or the signal that killed it, as negative."""
        self._known.clear()
        print(json.dumps(list(map(str, arguments))), file=self._program.stdin, flush=True)
        self._child = self._answer()
        self._known.set()
        return self._answer()

    def kill(self) -> None:
        """Kills the process of the present call, from another thread."""
        assert self._known.wait(10)
        os.kill(self._child, signal.SIGKILL)

    def _answer(self) -> int:
        assert self._program.stdout
        return int(self._program.stdout.readline())


@contextmanager
def mortals(function: Callable[..., object], *others: str, **environment: str) -> Iterator[Mortals]:
    """Has a function called in processes that may be killed.

    Args:
        function: A function of a module; it takes texts.
        others: Names of modules that the function imports.
        environment: Further variables of the environment.
    """
    named = (function.__module__, function.__name__)
    with subprocess.Popen(
        [sys.executable, "-m", "mediatech_assets_tests.services.mortals", *named, *others],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        yield Mortals(program)


def _call_in_children(module: str, function: str, *others: str) -> None:
    called = getattr(importlib.import_module(module), function)
    for other in others:
        importlib.import_module(other)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _call_and_end(called, *json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _call_and_end(called: Callable[..., object], *arguments: str) -> None:
    code = 1
    try:
        called(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    _call_in_children(*sys.argv[1:])
