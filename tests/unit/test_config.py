"""The configuration: defaults, the environment, and errors that say where and what to do."""

from pathlib import Path

import pytest
import yaml

from shipper import config
from shipper.config import component, component_names
from shipper.errors import ConfigError


def test_everything_has_a_default() -> None:
    loaded = config.load(environment={})
    assert [source.type for source in loaded.sources] == ["relp"]
    assert loaded.store.type == "sqlite"
    assert loaded.api.port == 8080


def test_environment_comes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text("api: {port: 1000, host: 0.0.0.0}\n")
    environment = {
        "SHIPPER_API__PORT": "2000",
        "SHIPPER_SOURCES": "[{type: relp, port: 3}]",
        "SHIPPER_URL": "http://elsewhere",
    }
    loaded = config.load(file, environment)
    assert (loaded.api.port, loaded.api.host) == (2000, "0.0.0.0")
    assert loaded.sources[0].port == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cluser: x", ["cluser", "unknown key", "cluster"]),
        ("api: {prot: 1}", ["api.prot", "unknown key", "port"]),
        ("sources: [{type: relp, prot: 1}]", ["sources", "relp", "prot", "unknown key", "port"]),
        ("sources: [{type: rlp}]", ["unknown type 'rlp'", "relp"]),
        ("sources: [{port: 1}]", ["needs a type", "relp"]),
        ("store: {type: oracle}", ["unknown type 'oracle'", "sqlite"]),
        ("parsers: [jsn]", ["unknown parser 'jsn'", "json_body"]),
        ("api: {port: 99999}", ["api.port", "65535"]),
        ("cluster: ../x", ["cluster"]),
        ("- a list", ["must be keys and values"]),
        ("a: [", ["not valid YAML"]),
        ("\x00", ["not valid YAML"]),
    ],
)
def test_errors_are_one_line_with_file_key_and_known_ones(text: str, says: list[str], tmp_path: Path) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file, {})
    message = str(caught.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    for part in says:
        assert part in message


def test_a_missing_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/shipper.yaml: cannot read"):
        config.load("/nowhere/shipper.yaml", {})


def test_secrets_are_never_printed() -> None:
    loaded = config.load(
        environment={"SHIPPER_STORE": "{type: elasticsearch, urls: ['http://127.0.0.1:9'], api_key: canary}"}
    )
    assert "canary" not in repr(loaded)
    assert "canary" not in yaml.safe_dump(loaded.model_dump(mode="json"))


@pytest.mark.parametrize("room", ["sources", "enrichers", "stores"])
def test_every_component_has_settings_that_its_example_fits(room: str) -> None:
    for name in component_names(room):
        module = component(room, name)
        assert module.EXAMPLE["type"] == name
        settings = module.Config.model_validate(module.EXAMPLE)
        undocumented = [
            key for key, field in type(settings).model_fields.items() if key != "type" and not field.description
        ]
        assert undocumented == [], f"{room}/{name}: settings without a description"
