"""The Celery application of workers, one of which dies (SIGKILL) in the middle of a result when it is told to.

What belongs here: dying. The file named by DYING_WORDS tells it: the first process that finds it, and takes it away,
writes half of a result and is gone.

    DYING_WORDS=/tmp/die celery -A mediatech_assets_tests.pipeline.mortal_worker worker
"""

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mediatech_assets.orchestration.celery_app import app as app

_write_table = pq.write_table


def _write_or_die(rows: Any, file: Any, **options: Any) -> None:
    if ".result." not in file.name:
        _write_table(rows, file, **options)
        return
    try:
        Path(os.environ["DYING_WORDS"]).unlink()
    except FileNotFoundError:
        _write_table(rows, file, **options)
    else:
        file.write(b"PAR1, and nothing after it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


pq.write_table = _write_or_die
