"""The one settings object: every choice of an installation, from `MEDIATECH_*` environment variables.

What belongs here: names, types, defaults and meanings of settings, and the folders derived from `home`.
What does not: facts about datasets (`datasets/`) or models (`embeddings/profiles.py`).
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mediatech_assets.errors import ConfigurationError

#: How DuckDB writes an amount of memory.
_AMOUNT = re.compile(r"\d+(?:\.\d+)?\s*(?:[KMGT]i?B)", re.IGNORECASE)

#: File that marks the project's root, where `.mediatech/` lies by default.
_PROJECT_MARKER = "workspace.yaml"


def _default_home() -> Path:
    """`.mediatech` in the project that holds the current folder, else in the current folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _PROJECT_MARKER).is_file():
            return folder / ".mediatech"
    return here / ".mediatech"


class Settings(BaseSettings):
    """Settings of one installation; each is the environment variable `MEDIATECH_<NAME IN CAPITALS>`."""

    model_config = SettingsConfigDict(env_prefix="MEDIATECH_", frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=_default_home,
        description="Folder that holds everything the platform writes.",
    )
    upstream_base: str = Field(
        default="",
        description="Base URL or folder that stands for the upstream hosts: https://host/path is read at "
        "<base>/host/path. Empty: the real hosts.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Hosts, comma-separated, that may be contacted besides the datasets' own upstream hosts.",
    )
    user_agent: str = Field(
        default="mediatech-assets/0.1 (+https://www.data.gouv.fr)",
        description="User agent sent to upstream hosts.",
    )
    http_timeout: float = Field(default=30.0, gt=0, description="Seconds without an answer before a retry.")
    http_attempts: int = Field(
        default=4, ge=1, le=20, description="Attempts for each request to an upstream."
    )
    profile: str = Field(default="use", description="Active embedding profile.")
    redaction: Literal["public", "full"] = Field(
        default="public",
        description="What datasets keep of persons: public (no names, personal mails or direct lines) or full.",
    )
    workers: int = Field(
        default=0, ge=0, description="Worker processes for parsing, splitting and embedding. 0: one a core."
    )
    model_device: str = Field(
        default="", description="Device of sentence-transformers models. Empty: automatic."
    )
    model_folder: str = Field(
        default="",
        description="Folder that holds a sentence-transformers model. Empty: the local Hugging Face cache.",
    )
    embedding_url: str = Field(
        default="",
        description="Base URL of an OpenAI-compatible embedding service, such as http://127.0.0.1:8080/v1. Empty: "
        "the Albert API for profile albert; profile openai_api needs one. Naming it allows its host.",
    )
    embedding_key: SecretStr = Field(default=SecretStr(""), description="Key of the embedding service.")
    embedding_model: str = Field(
        default="", description="Model of profile openai_api, as the service names it."
    )
    embedding_revision: str = Field(
        default="", description="Revision of that model, if known: another revision has other vectors."
    )
    embedding_dimensions: int = Field(default=0, ge=0, description="Length of that model's vectors.")
    embedding_max_tokens: int = Field(
        default=512, ge=16, description="Most tokens of one text that that model takes."
    )
    embedding_chunk_tokens: int = Field(
        default=0,
        ge=0,
        description="Tokens of a chunk for that model. 0: as many as it takes, 1,024 at most.",
    )
    embedding_tokenizer: Literal["xlm-r", "use", "minilm"] = Field(
        default="xlm-r",
        description="Tokenizer that counts for that model: its own or one that never counts less.",
    )
    embedding_query_prefix: str = Field(default="", description="Text put before a question for that model.")
    embedding_passage_prefix: str = Field(default="", description="Text put before a passage for that model.")
    embedding_requests: int = Field(
        default=8, ge=1, le=256, description="Most requests to an embedding service at the same time."
    )
    embedding_timeout: float = Field(
        default=60.0, gt=0, description="Seconds without an answer of an embedding service before a retry."
    )
    index_engine: Literal["edge", "server", "memory"] = Field(
        default="edge",
        description="Vector engine: edge (inside this process), server (a Qdrant server) or memory (for trials).",
    )
    index_url: str = Field(default="", description="URL of the Qdrant server. Naming it allows its host.")
    index_key: SecretStr = Field(default=SecretStr(""), description="Key of the Qdrant server.")
    index_quantization: Literal["none", "int8"] = Field(
        default="none",
        description="Whether a Qdrant server keeps vectors as 8-bit integers beside the originals.",
    )
    index_on_disk: bool = Field(
        default=False,
        description="Whether a Qdrant server keeps vectors and payloads on disk, not in memory.",
    )
    expansions: str = Field(
        default="",
        description="Folder of <dataset>.tsv files with everyday phrases that documents are also found by. Empty: "
        "those of the platform; none: no phrases. They are searched only, never shown or published.",
    )
    lock_timeout: float = Field(
        default=60.0, ge=0, description="Seconds to wait for another process that works on the same dataset."
    )
    memory_limit: str = Field(
        default="512MB", description="Memory that DuckDB may use before it spills to disk."
    )
    duckdb_threads: int = Field(default=2, ge=1, description="Threads that DuckDB uses.")
    quarantine_bytes: int = Field(
        default=65_536, ge=0, description="Bytes of a refused input that are kept in the quarantine table."
    )
    rows_per_file: int = Field(
        default=50_000, ge=1, description="Rows after which a release starts another Parquet file."
    )

    release_encoding: Literal["json", "float32"] = Field(
        default="json",
        description="How releases write vectors: json (text, the published contract) or float32 (a list, smaller).",
    )
    hub_namespace: str = Field(
        default="",
        description="Organisation or account on the Hugging Face Hub that datasets are published under. Empty: not "
        "published there.",
    )
    hub_endpoint: str = Field(
        default="", description="Address of the hub. Empty: HF_ENDPOINT, else https://huggingface.co."
    )
    hub_token: SecretStr = Field(
        default=SecretStr(""), description="Token of the hub, with write access. Empty: HF_TOKEN."
    )
    hub_private: bool = Field(default=False, description="Whether new repositories on the hub are private.")
    hub_former_releases: int = Field(
        default=3, ge=0, description="Former releases that stay on the hub as data/<name>-YYYYMMDD."
    )
    data_gouv_url: str = Field(
        default="https://www.data.gouv.fr/api/1/", description="API of data.gouv.fr, or of its demo site."
    )
    data_gouv_key: SecretStr = Field(default=SecretStr(""), description="API key of data.gouv.fr.")
    data_gouv_organization: str = Field(
        default="",
        description="Identifier or slug of the organisation on data.gouv.fr. Empty: not published there.",
    )
    data_gouv_private: bool = Field(
        default=False, description="Whether datasets on data.gouv.fr are private; sent with every write."
    )
    data_gouv_resources: Literal["remote", "upload"] = Field(
        default="remote",
        description="Whether data.gouv.fr links to the files on the hub (remote) or gets them (upload).",
    )
    albert_url: str = Field(
        default="https://albert.api.etalab.gouv.fr/v1", description="API of the Albert collections."
    )
    albert_key: SecretStr = Field(
        default=SecretStr(""), description="Key of the Albert collections. Empty: not published there."
    )
    albert_visibility: Literal["private", "public"] = Field(
        default="private",
        description="Who can search new Albert collections; a public one needs a permission of the account.",
    )
    publish_personal_data: bool = Field(
        default=False,
        description="Whether releases made with MEDIATECH_REDACTION=full may be published.",
    )

    automation: bool = Field(
        default=False,
        description="Whether sensors poll the upstreams and runs start by themselves. Off by default: nothing leaves a "
        "machine unasked. On in a deployment. What was switched in the UI wins.",
    )
    alerts: SecretStr = Field(
        default=SecretStr(""),
        description="Where failures and late data are told: addresses of Apprise, separated by spaces (mail, Matrix, "
        "Mattermost…). They hold secrets. Empty: nobody is told.",
    )
    run_history_days: int = Field(
        default=180,
        ge=1,
        description="Days that Dagster runs and polls are kept before the job `prune` removes them.",
    )
    scale_out: Literal["", "multiprocess", "celery", "kubernetes"] = Field(
        default="",
        description="What spreads parsing and embedding over workers in runs that Dagster launches: multiprocess "
        "(processes of one machine), celery or kubernetes. Empty: one process with its own workers. docs/scale-out.md.",
    )
    scale_out_parse_bytes: int = Field(
        default=64_000_000, ge=1, description="Bytes of members that a worker parses in one step."
    )
    scale_out_embed_bytes: int = Field(
        default=8_000_000, ge=1, description="Bytes of text that a worker embeds in one step."
    )
    celery_broker: SecretStr = Field(
        default=SecretStr(""),
        description="URL of the broker for MEDIATECH_SCALE_OUT=celery, such as redis://127.0.0.1:6379/0.",
    )
    celery_backend: SecretStr = Field(
        default=SecretStr(""),
        description="URL where Celery keeps what workers answer. Empty: the broker, if it is Redis; else rpc://.",
    )

    @field_validator("memory_limit", mode="after")
    @classmethod
    def _known_amount(cls, value: str) -> str:
        if not _AMOUNT.fullmatch(value.strip()):
            raise ValueError("write an amount with its unit, such as 1GB or 800MB")
        return value.strip()

    @field_validator("home", mode="after")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @property
    def lake_folder(self) -> Path:
        """Catalogs and Parquet data of the lake."""
        return self.home / "lake"

    @property
    def raw_folder(self) -> Path:
        """Upstream files as downloaded."""
        return self.home / "raw"

    @property
    def index_folder(self) -> Path:
        """Collections of the embedded vector engine."""
        return self.home / "index"

    @property
    def releases_folder(self) -> Path:
        """Built releases."""
        return self.home / "releases"

    @property
    def evaluation_folder(self) -> Path:
        """Plots of the history of evaluations."""
        return self.home / "evaluation"

    @property
    def scale_out_folder(self) -> Path:
        """Shards of work that is being done, shared by all workers; empty between runs."""
        return self.home / "scale_out"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, materialisations."""
        return self.home / "dagster"

    @property
    def locks_folder(self) -> Path:
        """Locks between processes."""
        return self.home / "locks"


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment, with `overrides` by field name (`None` values are ignored).

    Raises:
        ConfigurationError: a variable holds a value that cannot be used; the message names it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"setting MEDIATECH_{name} cannot be used: {first['msg']} (value: {first['input']!r})",
            "correct or unset the variable; `mediatech doctor` lists every setting",
        ) from None
