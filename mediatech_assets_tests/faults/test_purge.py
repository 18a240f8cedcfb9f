"""What a person meets who asks for an erasure that is not meant."""

import os
import pty
import subprocess
import sys

import pytest


@pytest.mark.parametrize("answer", ["n", ""])
def test_at_a_terminal_it_asks_and_no_means_no(home, answer):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mediatech_assets.cli", "purge", "legi", "X", "--reason", "asked for"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{answer}\n".encode())
    output, errors = process.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1
    assert "Erase X of legi everywhere, for good? [y/N]" in errors
    assert "nothing was done" in errors
    assert output == ""
    assert list(home.iterdir()) == []
