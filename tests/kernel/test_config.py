"""Configuration: where values come from, and what a mistake says."""

import tomllib
from pathlib import Path

import pytest

from kernel.config import Config, ConfigError, load_config
from kernel.example import example_toml

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("EBOK_CONFIG", "EBOK_SECRETS_DIR", "EBOK_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ebok.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file() -> None:
    assert load_config().server.port == 8080


def test_file_then_environment_then_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, '[server]\nport = 1\nhost = "::1"\n[mail]\nhost = "file"\npassword = "file"\n')
    assert load_config().server.port == 1
    monkeypatch.setenv("EBOK_SERVER__PORT", "2")
    monkeypatch.setenv("EBOK_MAIL__PASSWORD", "environment")
    assert (load_config().server.port, load_config().server.host) == (2, "::1")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "mail__password").write_text("secret")
    monkeypatch.setenv("EBOK_SECRETS_DIR", str(secrets))
    config = load_config()
    assert config.mail.password.get_secret_value() == "secret"
    assert config.mail.host == "file"
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[servre]\nport = 1", "unknown key 'servre'. Did you mean 'server'?"),
        ("[server]\nprot = 1", "unknown key 'server.prot'. Did you mean 'port'?"),
        ('[[sites]]\nname = "a"\nhost = ["x"]', "unknown key 'sites.host'. Did you mean 'hosts'?"),
        ("[server]\nport = 99999", "server.port"),
        ("port = = 1", "cannot be read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(written(tmp_path, text))
    assert said in str(refused.value)


def test_a_mistaken_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBOK_DATABSE__DSN", "x")
    with pytest.raises(ConfigError, match=r"EBOK_DATABSE__DSN.*EBOK_DATABASE__DSN"):
        load_config()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "missing.toml")


def test_the_example_is_made_from_the_models() -> None:
    shipped = (ROOT / "ebok.example.toml").read_text(encoding="utf-8")
    assert shipped == example_toml(), "run: python -m kernel.example > ebok.example.toml"


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    example = example_toml()
    tomllib.loads(example)
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line or line.startswith("# [[") else line for line in example.splitlines()
    )
    assert isinstance(load_config(written(tmp_path, uncommented)), Config)
