"""The Celery application of workers: `celery -A mediatech_assets.orchestration.celery_app worker -Q mediatech-work`.

What belongs here: the application and its task. What does not: what a step does, and the executor that sends steps
(`executors.py`).
"""

import os

from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from mediatech_assets.orchestration.executors import CELERY_SETTINGS, celery_urls
from mediatech_assets.settings import load_settings
from mediatech_assets.workers import ONE_THREAD_VARIABLES

# A worker process has one core: many of them share out the work, so none has a pool or threads of its own.
os.environ.setdefault("MEDIATECH_WORKERS", "1")
for _variable in ONE_THREAD_VARIABLES:
    os.environ.setdefault(_variable, "1")

_BROKER, _BACKEND = celery_urls(load_settings())

app = make_app({"broker": _BROKER, "backend": _BACKEND, "config_source": CELERY_SETTINGS})

# Acknowledged when it is done, and given back when its process dies: else the step of a killed worker would be lost.
execute_plan = create_task(app, acks_late=True, reject_on_worker_lost=True)
