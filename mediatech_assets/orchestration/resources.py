"""The platform as a Dagster resource.

What belongs here: the settings that a run may set, and opening the platform once a process. What does not:
the settings' meaning (`settings.py`).
"""

import os
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.settings import load_settings

#: Tag of a run that is a full refresh, whatever its value.
REPARSE_TAG = "mediatech/reparse"


class PlatformResource(dg.ConfigurableResource):
    """Gives assets the platform; fields that are not set take the environment's or the default setting.

    `build_profile` is a profile to build beside the active one, which is `profile`. A run with the tag `REPARSE_TAG`
    reads every raw file in use again: a full refresh. (Not a field: run configuration of one field unsets the others.)
    """

    home: str | None = None
    upstream_base: str | None = None
    profile: str | None = None
    build_profile: str = ""

    _platform: Platform | None = PrivateAttr(default=None)

    @classmethod
    def from_environment(cls) -> "PlatformResource":
        """Fields bound to the environment variables that are set."""
        variables = {name: f"MEDIATECH_{name.upper()}" for name in ("home", "upstream_base", "profile")}
        bound: dict[str, Any] = {
            name: dg.EnvVar(variable) for name, variable in variables.items() if variable in os.environ
        }
        return cls(**bound)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Reads the settings; the lake is opened by the first asset that needs it."""
        tags = context.run.tags if context.run else {}
        self._platform = Platform(
            load_settings(home=self.home, upstream_base=self.upstream_base, profile=self.profile),
            profile=self.build_profile,
            reparse=REPARSE_TAG in tags,
        )

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Lets go of the lake."""
        if self._platform is not None:
            self._platform.close()

    @property
    def platform(self) -> Platform:
        """The platform of this run."""
        if self._platform is None:
            raise RuntimeError("the platform resource is used outside of a run")
        return self._platform
