"""compose.yaml and the recipe of the image: what can be known of them without images."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper import __version__, config
from shipper.generate import image, marathon
from shipper.generate.samples import WEB_PORT
from tests.unit.marathon_apps import apps

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = image.generate(marathon.Settings())["Dockerfile"]


def instructions() -> list[tuple[str, str]]:
    """The recipe's instructions and their text, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", "")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, by its name; the last is ""."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, text in instructions():
        if word == "FROM":
            stage = text.partition(" AS ")[2]
            found[stage] = []
        found[stage].append((word, text))
    return found


def test_compose_has_every_part_of_the_cluster() -> None:
    assert SERVICES.keys() == {
        "zookeeper", "mesos-master", "mesos-agent", "marathon", "chronos", "elasticsearch", "kibana", "nginx",
        "shipper", "rsyslog", "haproxy", "samples",
    }  # fmt: skip
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", [])) <= SERVICES.keys(), name
        assert service["network_mode"] == "host", name


def test_every_image_is_pinned() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?$", service["image"]), name
    for word, text in instructions():
        if word == "FROM" and text.split()[0] not in stages():
            assert re.match(r"python:3\.11\.\d+-slim-bookworm( AS |$)", text), text


def test_what_compose_mounts_and_builds_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-([^}]+)\}", r"\1", volume).partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {source}"
            else:
                assert source.startswith("/") or source in COMPOSE["volumes"], f"{name}: {source}"
        if build := service.get("build"):
            assert (ROOT / build["context"] / build["dockerfile"]).is_file(), name
            assert build["target"] in stages(), name


def test_ports_agree_with_the_generated_files() -> None:
    settings = marathon.Settings()
    shipper = SERVICES["shipper"]["environment"]
    loaded = config.load(environment={name: text for name, text in shipper.items() if name.startswith("SHIPPER_")})
    assert [source.port for source in loaded.sources] == [settings.relp_port]
    assert loaded.api.port == settings.api_port == int(shipper["PORT0"])
    assert loaded.store.urls == [f"http://127.0.0.1:{settings.elasticsearch_port}"]
    assert loaded.cluster == settings.cluster
    assert SERVICES["elasticsearch"]["environment"]["http.port"] == str(settings.elasticsearch_port)
    kibana, app = SERVICES["kibana"]["environment"], apps()["marathon-apps/kibana.json"]
    assert kibana["SERVER_PORT"] == str(settings.kibana_port)
    ours = {"SERVER_HOST": "127.0.0.1", "SERVER_PORT": str(settings.kibana_port)}
    public = f"http://127.0.0.1:{settings.front_port}/kibana"
    assert kibana == {**app["env"], **ours, "SERVER_PUBLICBASEURL": public}
    assert shlex.split(app["cmd"])[2:] == SERVICES["kibana"]["command"]
    behind = apps()["marathon-apps/api.json"]["env"]
    for name in ("SHIPPER_API__KIBANA_URL", "SHIPPER_API__KIBANA_INTERNAL_URL"):
        assert shipper[name] == behind[name]
    front = (ROOT / "marathon-apps/nginx.conf").read_text()
    assert f"listen {settings.front_port};" in front
    assert f"127.0.0.1:{settings.front_port}" in (ROOT / "compose.yaml").read_text()
    assert f"127.0.0.1:{WEB_PORT}" in (ROOT / "compose.yaml").read_text()
    assert f'"port": {settings.relp_port}' not in front
    rsyslog = (ROOT / "rsyslog/shipper.conf").read_text()
    assert f'port="{settings.relp_port}"' in rsyslog, "rsyslogd sends where the shipper listens"


def test_images_agree_with_the_generated_files() -> None:
    settings = marathon.Settings()
    assert SERVICES["shipper"]["image"] == settings.image == f"shipper:{__version__}"
    assert SERVICES["elasticsearch"]["image"] == settings.elasticsearch_image
    assert SERVICES["kibana"]["image"] == settings.kibana_image
    assert SERVICES["nginx"]["image"] == settings.nginx_image
    assert f"--tag shipper:{__version__} " in DOCKERFILE


def test_the_shipper_has_longer_to_stop_than_it_drains() -> None:
    grace = int(SERVICES["shipper"]["stop_grace_period"].removesuffix("s"))
    assert grace > config.PipelineSettings().drain_seconds


def test_commands_of_the_product_exist() -> None:
    import argparse

    from shipper.cli import deploy, haproxy

    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    deploy.add_commands(commands)
    haproxy.add_commands(commands)
    words = SERVICES["samples"]["command"]
    assert parser.parse_args(words[1:]).samples
    script = SERVICES["haproxy"]["command"][2].replace("$$", "$")
    follow = re.search(r"shipper (haproxy .*) \"\$@\"; }", script)
    assert follow
    for options in re.findall(r"follow (--.*?)(?:;|$)", script, re.MULTILINE):
        parser.parse_args([*follow[1].split(), *options.split()])


@pytest.mark.parametrize("stage", ["product", "host"])
def test_what_runs_has_no_build_tools(stage: str) -> None:
    assert not re.search(r"gcc|build-essential|pip install|-dev\b", "".join(text for _, text in stages()[stage]))
    assert "pip uninstall --yes setuptools wheel pip" in "".join(text for _, text in stages()["product"])


def test_the_product_is_no_root_and_says_how_it_is() -> None:
    product = dict(stages()["product"])
    user, _, group = product["USER"].partition(":")
    assert user.isdecimal(), "a number: Kubernetes-like rules and `ls` outside do not know names"
    assert int(user) > 0
    assert user == group
    assert product["CMD"] == '["shipper", "run"]'
    assert "ENTRYPOINT" not in dict(instructions())
    assert "/health" in product["HEALTHCHECK"]
    assert stages()[""] == [("FROM", "product")], "the last stage is what is built by default"


def test_dependencies_are_locked_by_hash_and_nothing_else_is_downloaded() -> None:
    build = "\n".join(text for _, text in stages()["build"])
    installs = re.findall(r"pip (?:install|wheel) [^\n&]*", build)
    assert len(installs) == 3
    for install in installs:
        assert "--no-index" in install or {"--require-hashes", "--only-binary", ":all:"} <= set(install.split())
    assert not re.search(r"\b(curl|wget|ADD|latest)\b", DOCKERFILE)
    for _, text in instructions():
        assert "sudo" not in text


def test_the_recipe_copies_what_is_there_and_not_ignored() -> None:
    ignored = image.generate(marathon.Settings())["Dockerfile.dockerignore"].splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [text.split()[:-1] for word, text in stages()["build"] if word == "COPY"]
    names = {name for group in copied for name in group}
    assert names == kept
    assert all((ROOT / name).exists() for name in names)
    assert "*" in ignored


def test_the_health_check_of_the_image_is_a_program() -> None:
    import json

    words = json.loads(dict(stages()["product"])["HEALTHCHECK"].partition("CMD ")[2])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")
