"""The files of `deploy/`: what no container engine or cluster can tell us here.

What belongs here: rules that the files keep (pins, secrets, users, ports), and that names in them exist: flags,
settings, keys of charts, files. What does not: the processes at work (`services/test_deploy_processes.py`).
"""

import fnmatch
import json
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from dagster._cli import create_dagster_cli
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.storage.config import pg_config
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import create_dagster_webserver_cli
from pydantic import SecretStr

from mediatech_assets.cli import app
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.settings import Settings
from mediatech_assets_tests.deployment import DEPLOY, PROJECT, command_of_image, compose, dockerfile, stages

CONTAINERS = compose()["services"]
VALUES = {
    name: yaml.safe_load((DEPLOY / "kubernetes" / f"{name}-values.yaml").read_text(encoding="utf-8"))
    for name in ("dagster", "qdrant")
}
MANIFESTS = [
    document
    for name in ("embedding.yaml", "home-volume.yaml", "settings.yaml")
    for document in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text(encoding="utf-8"))
]
#: A made-up value of each variable that the Dagster instance reads.
PG = {
    "DAGSTER_PG_HOST": "db.example",
    "DAGSTER_PG_PORT": "5433",
    "DAGSTER_PG_DB": "runs",
    "DAGSTER_PG_USERNAME": "somebody",
    "DAGSTER_PG_PASSWORD": "hidden",
}

# What charts know, as public copies of their sources show it. `...`: anything below (Kubernetes' fields, free keys).
_IMAGE = {"repository": ..., "tag": ..., "pullPolicy": ...}
_TICKS = {"purgeAfterDays": {"skipped": ..., "success": ..., "failure": ..., "started": ...}}
_POD = {
    "podSecurityContext": ...,
    "securityContext": ...,
    "resources": ...,
    "volumes": ...,
    "volumeMounts": ...,
}
_THREADS = {"useThreads": ..., "numWorkers": ...}
KNOWN = {
    "dagster": {
        "global": {"postgresqlSecretName": ..., "dagsterHome": ..., "serviceAccountName": ...},
        "generatePostgresqlPasswordSecret": ...,
        "postgresql": {
            "enabled": ...,
            "postgresqlHost": ...,
            "postgresqlUsername": ...,
            "postgresqlPassword": ...,
            "postgresqlDatabase": ...,
            "service": {"port": ...},
        },
        "rabbitmq": {"enabled": ...},
        "redis": {"enabled": ...},
        "flower": {"enabled": ...},
        "dagsterWebserver": {
            "replicaCount": ...,
            "image": _IMAGE,
            "enableReadOnly": ...,
            "service": {"type": ..., "port": ...},
            **_POD,
        },
        "dagsterDaemon": {
            "enabled": ...,
            "image": _IMAGE,
            **_POD,
            "runCoordinator": {"enabled": ..., "type": ..., "config": {"queuedRunCoordinator": {}}},
            "runMonitoring": {
                "enabled": ...,
                "startTimeoutSeconds": ...,
                "cancelTimeoutSeconds": ...,
                "maxResumeRunAttempts": ...,
                "pollIntervalSeconds": ...,
                "freeSlotsAfterRunEndSeconds": ...,
            },
            "runRetries": {"enabled": ..., "maxRetries": ..., "retryOnAssetOrOpFailure": ...},
            "sensors": _THREADS,
            "schedules": _THREADS,
        },
        "additionalInstanceConfig": ...,
        "retention": {"enabled": ..., "schedule": _TICKS, "sensor": _TICKS, "autoMaterialize": _TICKS},
        "telemetry": {"enabled": ...},
        "computeLogManager": {"type": ...},
        "dagster-user-deployments": {
            "enabled": ...,
            "enableSubchart": ...,
            "deployments": {
                "name": ...,
                "image": _IMAGE,
                "codeServerArgs": ...,
                "port": ...,
                "includeConfigInLaunchedRuns": {"enabled": ...},
                "env": ...,
                "envConfigMaps": ...,
                "envSecrets": ...,
                "initContainers": ...,
                "nodeSelector": ...,
                "deploymentStrategy": ...,
                **_POD,
            },
        },
        "runLauncher": {
            "type": ...,
            "config": {
                "k8sRunLauncher": {
                    "imagePullPolicy": ...,
                    "loadInclusterConfig": ...,
                    "envConfigMaps": ...,
                    "envSecrets": ...,
                    "envVars": ...,
                    "volumes": ...,
                    "volumeMounts": ...,
                    "resources": ...,
                    "failPodOnRunFailure": ...,
                    "runK8sConfig": {"podSpecConfig": ..., "containerConfig": ..., "jobSpecConfig": ...},
                }
            },
        },
        "ingress": {"enabled": ...},
        "migrate": {"enabled": ...},
    },
    "qdrant": {
        "replicaCount": ...,
        "image": {"tag": ..., "useUnprivilegedImage": ...},
        "apiKey": ...,
        "additionalVolumes": ...,
        "additionalVolumeMounts": ...,
        "config": ...,
        "containerSecurityContext": ...,
        "podSecurityContext": ...,
        "updateVolumeFsOwnership": ...,
        "livenessProbe": {"enabled": ...},
        "readinessProbe": {"enabled": ...},
        "startupProbe": {"enabled": ..., "failureThreshold": ...},
        "persistence": {"accessModes": ..., "size": ...},
        "snapshotPersistence": {"enabled": ..., "accessModes": ..., "size": ...},
        "resources": ...,
    },
}


def test_only_the_proxy_is_reachable_and_only_code_and_proxy_reach_out():
    assert [name for name, service in CONTAINERS.items() if service.get("ports")] == ["proxy"]
    assert CONTAINERS["proxy"]["ports"] == ["${MEDIATECH_HTTPS_PORT:-443}:8443"]
    assert not any(
        service.get("network_mode") or service.get("privileged") for service in CONTAINERS.values()
    )
    internal = {name for name, network in compose()["networks"].items() if network.get("internal")}
    reach_out = {name for name, service in CONTAINERS.items() if not internal.issuperset(service["networks"])}
    assert reach_out == {"code", "proxy"}


def test_every_image_is_pinned():
    images = [service["image"] for service in CONTAINERS.values()]
    images += [rest.partition("=")[2] for name, rest in dockerfile() if name == "ARG" and "IMAGE" in rest]
    images += [
        container["image"]
        for manifest in MANIFESTS
        if manifest["kind"] == "Deployment"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    assert len(images) == 11
    for image in images:
        _, _, tag = image.partition("/")[2].partition(":")
        assert re.search(r"\d+\.\d+", tag), image
        assert "latest" not in tag, image
    bases = {rest.partition(" ")[0] for found in stages().values() for name, rest in found if name == "FROM"}
    assert bases == {"${PYTHON_IMAGE}", "install", "runtime"}


def test_versions_are_those_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    locked = _locked(PROJECT / "requirements" / "default.txt")
    kubernetes = _locked(DEPLOY / "kubernetes" / "requirements.txt")
    ours = [service["image"] for service in CONTAINERS.values() if service["image"].startswith("mediatech/")]
    assert len(ours) == 5
    assert {image.rpartition(":-")[2].rstrip("}") for image in ours} == {project}
    assert VALUES["dagster"]["dagsterWebserver"]["image"]["tag"] == project
    assert f"--version {locked['dagster']} " in (DEPLOY / "kubernetes/dagster-values.yaml").read_text("utf-8")
    # dagster-k8s is released together with dagster-postgres and wants exactly its dagster.
    assert kubernetes["dagster-k8s"] == locked["dagster-postgres"]
    assert not locked.keys() & kubernetes.keys()
    served = CONTAINERS["qdrant"]["image"].rpartition(":")[2]
    assert served == f"{VALUES['qdrant']['image']['tag']}-unprivileged"
    # Qdrant's client accepts a server that is one minor version away.
    client, server = (re.findall(r"\d+", version)[1] for version in (locked["qdrant-client"], served))
    assert abs(int(client) - int(server)) <= 1


def test_everything_runs_without_rights():
    users = {name: rest for name, rest in stages()["runtime"] if name == "USER"}
    assert users == {"USER": "10001:10001"}
    for target in ("code", "webserver", "daemon", "kubernetes"):
        assert stages()[target][0] == ("FROM", f"runtime AS {target}")
        assert "USER" not in dict(stages()[target])
    for name, service in CONTAINERS.items():
        of_ours = service["image"].startswith("mediatech/")
        assert of_ours or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    contexts = [
        value for values in VALUES.values() for key, value in _walk(values) if key.endswith("ecurityContext")
    ]
    contexts += [
        value for manifest in MANIFESTS for key, value in _walk(manifest) if key == "securityContext"
    ]
    assert len(contexts) >= 12
    for context in contexts:
        assert context.get("runAsUser", 1) != 0
        assert context.get("runAsNonRoot") or not context.get(
            "allowPrivilegeEscalation", "fsGroup" not in context
        )
        assert context.get("readOnlyRootFilesystem", True) is True


def test_everything_is_limited_watched_and_started_again():
    for name, service in CONTAINERS.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert service["pids_limit"] > 0, name
        assert service["logging"]["options"]["max-size"], name
        once = name == "instance"
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        assert once or service["healthcheck"]["test"][0] == "CMD", name
    known = set(compose()["volumes"])
    used = {
        volume.partition(":")[0] for service in CONTAINERS.values() for volume in service.get("volumes", ())
    }
    assert used == known


def test_no_file_holds_a_secret():
    for name, service in CONTAINERS.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN(?!S|IZER)|SECRET|_KEY$", variable):
                assert variable.endswith("_FILE"), name
                assert value.startswith("/run/secrets/"), name
            assert value is None or "://" not in value or "@" not in value, name
    revision = profile_named("bge-m3").revision
    for path in DEPLOY.rglob("*"):
        if not path.is_file() or "secrets" in path.parts:
            continue
        text = path.read_text(encoding="utf-8").replace(revision, "")
        text = re.sub(r"--hash=sha256:[0-9a-f]{64}", "", text)
        assert not re.search(r"\b[0-9a-f]{32,}\b|\bhf_\w{20}|BEGIN [A-Z ]*PRIVATE", text), path
    assert VALUES["qdrant"]["apiKey"] is False
    assert VALUES["dagster"]["postgresql"]["postgresqlPassword"] == ""
    assert VALUES["dagster"]["generatePostgresqlPasswordSecret"] is False


def test_the_script_makes_every_secret_once_and_hides_the_folder(tmp_path):
    folder = tmp_path / "secrets"
    script = ["sh", DEPLOY / "make-secrets.sh", folder]

    first = subprocess.run(script, check=True, capture_output=True, text=True, timeout=60)

    asked = {secret["file"] for secret in compose()["secrets"].values()}
    assert {f"secrets/{path.name}" for path in folder.iterdir()} == asked
    used = [
        entry if isinstance(entry, str) else entry["source"]
        for service in CONTAINERS.values()
        for entry in service.get("secrets", ())
    ]
    assert set(used) == set(compose()["secrets"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    key = (folder / "MEDIATECH_INDEX_KEY").read_text(encoding="utf-8").strip()
    assert len(key) == 64
    assert key not in first.stdout + first.stderr
    configuration = yaml.safe_load((folder / "qdrant_configuration").read_text(encoding="utf-8"))
    assert configuration == {"service": {"api_key": key}}
    assert (folder / "operators").read_text(encoding="utf-8").startswith("operator:$6$")
    assert "BEGIN CERTIFICATE" in (folder / "tls_certificate").read_text(encoding="utf-8")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = subprocess.run(script, check=True, capture_output=True, text=True, timeout=60)
    assert again.stdout == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_secrets_become_variables_of_the_command_alone(tmp_path):
    (tmp_path / "MEDIATECH_INDEX_KEY").write_text("a b'c\"$d\n", encoding="utf-8")
    (tmp_path / "tls_key").write_text("not a variable", encoding="utf-8")
    (tmp_path / "KUBERNETES").mkdir()
    shown = "import json, os; print(json.dumps(dict(os.environ)))"

    ran = subprocess.run(
        [DEPLOY / "with-secrets.sh", sys.executable, "-c", shown],
        env={"SECRETS_FOLDER": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    found = json.loads(ran.stdout)
    assert found["MEDIATECH_INDEX_KEY"] == "a b'c\"$d"
    assert not {"tls_key", "KUBERNETES"} & found.keys()


def test_the_instance_loads_as_dagster_reads_it(tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_bytes((DEPLOY / "dagster.production.yaml").read_bytes())
    for name, value in {**PG, "DAGSTER_COMPUTE_LOGS": str(tmp_path / "logs")}.items():
        monkeypatch.setenv(name, value)

    config, _ = dagster_instance_config(str(tmp_path))
    reference = InstanceRef.from_dir(str(tmp_path))

    storage = process_config(pg_config(), config["storage"]["postgres"])
    assert storage.success, storage.errors
    assert storage.value is not None
    assert storage.value["postgres_db"] == {
        "hostname": "db.example",
        "port": 5433,
        "db_name": "runs",
        "username": "somebody",
        "password": "hidden",
        "scheme": "postgresql",
        "params": {},
    }
    assert type(reference.run_launcher).__name__ == "DefaultRunLauncher"
    assert type(reference.compute_log_manager).__name__ == "LocalComputeLogManager"
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] == 300
    assert config["run_retries"] == {
        "enabled": True,
        "max_retries": 1,
        "retry_on_asset_or_op_failure": False,
    }
    assert config["concurrency"]["pools"] == {"granularity": "op", "default_limit": 1}
    assert config["telemetry"]["enabled"] is False

    monkeypatch.delenv("DAGSTER_PG_PASSWORD")
    refused = process_config(pg_config(), config["storage"]["postgres"])
    assert not refused.success
    assert "DAGSTER_PG_PASSWORD" in str(refused.errors)


def test_the_chart_gives_dagster_limits_in_one_place_only(tmp_path):
    """As the chart writes them: its run coordinator beside what `additionalInstanceConfig` adds."""
    values = VALUES["dagster"]
    coordinator = values["dagsterDaemon"]["runCoordinator"]
    written = {
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": coordinator["type"],
            "config": {
                "max_concurrent_runs": coordinator["config"]["queuedRunCoordinator"].get("maxConcurrentRuns")
            },
        },
        **values["additionalInstanceConfig"],
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")

    config, _ = dagster_instance_config(str(tmp_path))

    compose_file = yaml.safe_load((DEPLOY / "dagster.production.yaml").read_text(encoding="utf-8"))
    assert config["concurrency"] == compose_file["concurrency"]


def test_the_workspace_names_the_code_location(monkeypatch):
    monkeypatch.setenv("MEDIATECH_CODE_HOST", CONTAINERS["webserver"]["environment"]["MEDIATECH_CODE_HOST"])
    monkeypatch.setenv("MEDIATECH_CODE_PORT", CONTAINERS["webserver"]["environment"]["MEDIATECH_CODE_PORT"])

    (origin,) = location_origins_from_yaml_paths([str(DEPLOY / "workspace.production.yaml")])

    assert isinstance(origin, GrpcServerCodeLocationOrigin)
    assert origin.location_name == "mediatech"
    assert origin.host in CONTAINERS
    assert str(origin.port) == command_of_image("code")[command_of_image("code").index("--port") + 1]
    deployed = VALUES["dagster"]["dagster-user-deployments"]["deployments"][0]
    assert deployed["name"] == origin.location_name


@pytest.mark.parametrize(
    "command",
    [
        *(command_of_image(target) for target in ("code", "webserver", "daemon")),
        *(service["command"] for service in CONTAINERS.values() if service.get("command", ["sh"])[0] != "sh"),
        CONTAINERS["instance"]["command"][2].partition(" && ")[0].split(),
        CONTAINERS["code"]["healthcheck"]["test"][1:],
        CONTAINERS["daemon"]["healthcheck"]["test"][2:],
        ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000"]
        + VALUES["dagster"]["dagster-user-deployments"]["deployments"][0]["codeServerArgs"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_every_command_and_option_exists(command):
    real = [
        part.replace("/etc/mediatech/", f"{DEPLOY}/").replace("/workspace.", "/workspace.production.")
        for part in command
    ]
    _parse(real)


def test_the_reviewers_webserver_is_read_only_below_its_prefix():
    command = CONTAINERS["webserver_reviewers"]["command"]
    parsed = _parse(
        [part.replace("/etc/mediatech/workspace", f"{DEPLOY}/workspace.production") for part in command]
    )
    assert parsed["read_only"] is True
    assert parsed["path_prefix"] == "/review"
    assert "--read-only" not in command_of_image("webserver")
    assert VALUES["dagster"]["dagsterWebserver"]["enableReadOnly"] is True


def test_the_proxy_asks_everybody_for_a_password():
    text = (DEPLOY / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    published = text[text.index("listen 8443 ssl") :]
    assert "auth_basic off" not in text
    assert published.index("auth_basic_user_file /run/secrets/operators") < published.index("location /")
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == set(CONTAINERS["proxy"]["secrets"])
    for service, port in re.findall(r"http://(\w+):(\d+)", text):
        assert service in CONTAINERS["proxy"]["depends_on"]
        assert port == "3000"
    assert text.count("{") == text.count("}")


def test_what_the_images_copy_exists_and_reaches_the_build():
    rules = [
        line
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = set()
    for found in stages().values():
        for name, rest in found:
            words = [word for word in rest.split() if not word.startswith("--")]
            if name == "COPY" and "--from=" not in rest:
                copied.update(words[:-1])
    assert copied == allowed
    for path in copied:
        assert (PROJECT / path).exists(), path
    assert not any(fnmatch.fnmatch("deploy/secrets/tls_key", path) for path in allowed)
    installs = [rest for found in stages().values() for name, rest in found if "pip install" in rest]
    assert len(installs) == 3
    assert all("--require-hashes" in rest or rest.endswith("--no-index .") for rest in installs)


def test_the_package_builds_from_what_the_image_copies(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    for name, rest in stages()["install"]:
        if name == "COPY":
            *paths, _ = rest.split()
            for path in paths:
                target = source / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(PROJECT / path)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert "mediatech_assets/definitions.py" in listed
    assert "mediatech_assets/dagster.yaml" in listed


def test_every_setting_reaches_the_code_location():
    """As a variable of compose.yaml, with a value or taken from deploy/.env; a secret as a file, and only so."""
    hidden = {
        f"MEDIATECH_{name.upper()}"
        for name, of in Settings.model_fields.items()
        if of.annotation is SecretStr
    }
    known = {f"MEDIATECH_{name.upper()}" for name in Settings.model_fields}
    in_the_image = {"MEDIATECH_HOME"}
    of_a_package_that_the_image_lacks = {
        *("MEDIATECH_MODEL_DEVICE", "MEDIATECH_MODEL_FOLDER"),
        *("MEDIATECH_CELERY_BROKER", "MEDIATECH_CELERY_BACKEND"),
    }
    processes = {"MEDIATECH_CODE_HOST", "MEDIATECH_CODE_PORT"}
    of_compose = {name for name in CONTAINERS["code"]["environment"] if name.startswith("MEDIATECH_")}

    assert of_compose - processes == known - hidden - in_the_image - of_a_package_that_the_image_lacks

    files = {name for name in CONTAINERS["code"]["secrets"] if name.startswith("MEDIATECH_")}
    runbook = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    of_kubernetes = set(re.findall(r"--from-file=(MEDIATECH_\w+)", runbook))
    kept = hidden - of_a_package_that_the_image_lacks
    assert files == of_kubernetes == kept
    assert kept <= set(re.findall(r"`(MEDIATECH_\w+)`", runbook[runbook.index("## Secrets") :]))


def test_settings_describe_the_model_of_the_platform():
    known = {f"MEDIATECH_{name.upper()}" for name in Settings.model_fields}
    of_compose = CONTAINERS["code"]["environment"]
    (of_chart,) = (manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    assert {name for name in of_chart if name.startswith("MEDIATECH_")} <= known
    model = profile_named("bge-m3")
    for found in (of_compose, of_chart):
        assert found["MEDIATECH_EMBEDDING_MODEL"] == model.model_id
        assert found["MEDIATECH_EMBEDDING_REVISION"] == model.revision
        assert int(found["MEDIATECH_EMBEDDING_DIMENSIONS"]) == model.dimensions
        assert int(found["MEDIATECH_EMBEDDING_MAX_TOKENS"]) == model.max_tokens
        assert found["MEDIATECH_EMBEDDING_TOKENIZER"] == model.tokenizer
    (pod,) = (manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment")
    in_pod = {
        entry["name"]: entry.get("value") for entry in pod["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    for served in (CONTAINERS["embedding"]["environment"], in_pod):
        assert served["MODEL_ID"].endswith(model.revision)
        assert served["AUTO_TRUNCATE"] == "false"
        assert int(served["MAX_BATCH_TOKENS"]) >= model.max_tokens
    assert of_chart["MEDIATECH_HOME"] == "/var/lib/mediatech"
    assert VALUES["dagster"]["global"]["dagsterHome"] == f"{of_chart['MEDIATECH_HOME']}/dagster"


def test_runs_on_kubernetes_get_what_the_code_location_has():
    values = VALUES["dagster"]
    (code,) = values["dagster-user-deployments"]["deployments"]
    runs = values["runLauncher"]["config"]["k8sRunLauncher"]
    names = {manifest["metadata"]["name"] for manifest in MANIFESTS}
    assert runs["envConfigMaps"] == code["envConfigMaps"]
    assert runs["envSecrets"] == code["envSecrets"]
    assert {entry["name"] for entry in code["envConfigMaps"]} <= names
    # On, the chart would add the same mounts to runs again, and a path can be mounted once.
    assert code["includeConfigInLaunchedRuns"]["enabled"] is False
    assert [mount for mount in code["volumeMounts"] if mount not in runs["volumeMounts"]] == [
        {
            "name": "instance",
            "mountPath": f"{values['global']['dagsterHome']}/dagster.yaml",
            "subPath": "dagster.yaml",
        }
    ]
    assert runs["runK8sConfig"]["podSpecConfig"]["nodeSelector"] == code["nodeSelector"]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in runs["volumes"]
        if "name" in volume and "emptyDir" not in volume
    }
    assert claims <= names
    made = {
        path.removeprefix(values["global"]["dagsterHome"] + "/")
        for path in code["initContainers"][0]["command"][2:]
    }
    assert made == {"storage", "logs", ".logs_queue"}
    image = code["image"]
    assert code["initContainers"][0]["image"] == f"{image['repository']}:{image['tag']}"


def test_the_compose_file_is_of_the_specification(tmp_path):
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*check, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    broken = tmp_path / "compose.yaml"
    broken.write_text("services: {code: {image: x, restartt: always}}\n", encoding="utf-8")
    refused = subprocess.run([*check, broken], capture_output=True, text=True, check=False)
    assert "restartt" in refused.stdout


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_kubernetes_knows_every_field_of_a_manifest(manifest):
    latest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, latest, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifest, "sppec": {}}, latest, strict=True)


@pytest.mark.parametrize("chart", ["dagster", "qdrant"])
def test_the_charts_know_every_key(chart):
    assert list(_unknown(VALUES[chart], KNOWN[chart])) == []


def test_an_unknown_key_of_a_chart_is_found():
    assert list(_unknown({"image": {"tag": "1", "tagg": "2"}}, KNOWN["qdrant"])) == ["image.tagg"]


def test_the_commands_in_the_runbook_exist():
    text = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8") + (PROJECT / "docs/sizing.md").read_text(
        "utf-8"
    )
    commands = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.callback is not None
    }
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    used = set(re.findall(r"(?<!-n )\bmediatech ([a-z][a-z-]+)\b", shell))
    assert {"doctor", "verify", "update", "status"} <= used
    assert {"releases", "review", "approve", "publish", "rollback", "purge", "prune"} <= used
    assert used <= commands
    named = set(re.findall(r"compose (?:exec|stop|start|restart)(?: -T)? ([a-z_]+)", text))
    assert {"code", "daemon", "postgres"} <= named
    assert named <= set(CONTAINERS)
    for path in re.findall(r"\bdeploy/[\w./-]+\w", text):
        made = path.startswith(("deploy/secrets", "deploy/.env", "deploy/wheels", "deploy/images"))
        assert made or (PROJECT / path).exists(), path


def _locked(path: Path) -> dict[str, str]:
    """Versions of a lock file by package (the first, where markers give several)."""
    found: dict[str, str] = {}
    for name, version in re.findall(
        r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", path.read_text("utf-8"), re.MULTILINE
    ):
        found.setdefault(name, version)
    return found


def _unknown(values: Mapping[str, Any], known: Any, path: str = "") -> Iterator[str]:
    for key, value in values.items():
        here = f"{path}{key}"
        if key not in known:
            yield here
        elif known[key] is not ...:
            for entry in value if isinstance(value, list) else [value]:
                yield from _unknown(entry, known[key], f"{here}.")


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield key, below
            yield from _walk(below)
    elif isinstance(value, list):
        for below in value:
            yield from _walk(below)


def _parse(command: Sequence[str]) -> dict[str, Any]:
    """Reads a command line as the program would, without running it."""
    makers = {
        "dagster": create_dagster_cli,
        "dagster-daemon": create_dagster_daemon_cli,
        "dagster-webserver": create_dagster_webserver_cli,
    }
    program, *arguments = command
    found: click.Command = makers[program]()
    while isinstance(found, click.Group):
        found = found.commands[arguments.pop(0)]
    return found.make_context(program, list(arguments)).params
