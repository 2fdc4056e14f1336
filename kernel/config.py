"""Deployment settings: ``ebok.toml``, then ``EBOK_*`` variables, then a directory of secrets; the later one wins.

Everything that an operator decides for the process is here; what an organisation decides for itself is edited in the
console. An unknown key is refused together with the nearest right name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NestedSecretsSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

FILE: Final = "ebok.toml"
_PREFIX: Final = "EBOK_"
_OUTSIDE: Final = frozenset({"EBOK_CONFIG", "EBOK_SECRETS_DIR", "EBOK_SERVE_CHILD"})


class ConfigError(Exception):
    """The configuration cannot be used; the message is one line (or one line per mistake)."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerConfig(_Section):
    host: str = Field(
        default="127.0.0.1", description="Address to listen on; any but a loopback one needs TLS or trusted_proxies."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(default=1, ge=1, le=64, description="Number of web processes on the port.")
    tls_cert: Path | None = Field(default=None, description="File with the certificate chain (PEM).")
    tls_key: Path | None = Field(default=None, description="File with the private key (PEM).")
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses or networks whose X-Forwarded-* headers are believed."
    )
    form_bytes: int = Field(default=1_048_576, ge=1024, description="Largest form or JSON body, in bytes.")
    upload_bytes: int = Field(default=26_214_400, ge=1024, description="Largest body with files, in bytes.")
    body_seconds: float = Field(default=30.0, gt=0, description="How long a body may take to arrive.")
    stop_seconds: float = Field(
        default=20.0, gt=0, description="How long running requests may take to finish when stopping."
    )


class DatabaseConfig(_Section):
    dsn: SecretStr = Field(
        default=SecretStr(""),
        description="Where the application logs in (role ebok_app). Empty: the embedded PostgreSQL.",
    )
    owner_dsn: SecretStr = Field(default=SecretStr(""), description="Where migrations log in (may act as ebok_owner).")
    listen_dsn: SecretStr = Field(
        default=SecretStr(""), description="Straight to the primary, for notifications, when dsn goes through a pooler."
    )
    pool_size: int = Field(default=10, ge=2, le=200, description="Most connections of one process to one database.")


class MailConfig(_Section):
    host: str = Field(default="", description="SMTP server. Empty: letters wait in the outbox.")
    port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    username: str = Field(default="", description="Login at the SMTP server, if it wants one.")
    password: SecretStr = Field(default=SecretStr(""), description="Password at the SMTP server.")
    tls: Literal["none", "starttls", "tls"] = Field(default="starttls", description="How the connection is protected.")
    sender: str = Field(default="ebok@localhost", description="Address that letters come from.")


class SessionConfig(_Section):
    customer_idle_minutes: int = Field(default=30, ge=1, description="A customer without a click is logged out.")
    staff_idle_minutes: int = Field(default=30, ge=1, description="The same for the office.")
    absolute_hours: int = Field(default=12, ge=1, description="Everybody logs in again after this long.")


class SiteConfig(_Section):
    name: str = Field(description="Short name: letters, digits, hyphens.", pattern=r"^[a-z0-9][a-z0-9-]*$")
    hosts: tuple[str, ...] = Field(description="Host names that lead to it.", min_length=1)
    dsn: SecretStr = Field(default=SecretStr(""), description="Its database. Empty: one in the embedded PostgreSQL.")
    owner_dsn: SecretStr = Field(default=SecretStr(""), description="Where its migrations log in.")
    base_url: str = Field(
        default="", description="How links in its letters begin, for example https://bok.example.org."
    )
    time_zone: str = Field(default="Europe/Warsaw", description="Decides which day it is.")


class Config(BaseSettings):
    """Everything an operator can set, with its default."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path | None = Field(default=None, description="Where the embedded database and files live.")
    plugins: tuple[str, ...] | None = Field(default=None, description="Enabled plugins; absent: all bundled ones.")
    theme: str = Field(default="default", description="The theme's name.")
    templates_dir: Path | None = Field(
        default=None, description="Templates that replace shipped ones, by the same path."
    )
    hosts: tuple[str, ...] = Field(
        default=("localhost", "127.0.0.1"),
        description="Host names of the only organisation (when there are no [[sites]]).",
    )
    base_url: str = Field(default="", description="How links in letters begin, for example https://bok.example.org.")
    time_zone: str = Field(default="Europe/Warsaw", description="Decides which day it is.")
    log_format: Literal["json", "text"] = Field(default="json", description="One JSON object a line, or text.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important line written."
    )
    trace_hooks: bool = Field(default=False, description="Log every call of a plugin with its time.")
    pg_bindir: Path | None = Field(default=None, description="PostgreSQL binaries for the embedded server.")
    server: ServerConfig = Field(default=ServerConfig(), description="The web server.")
    database: DatabaseConfig = Field(default=DatabaseConfig(), description="The database of the only organisation.")
    mail: MailConfig = Field(default=MailConfig(), description="Outgoing letters.")
    sessions: SessionConfig = Field(default=SessionConfig(), description="How long people stay logged in.")
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict[str, dict[str, Any]],
        description="First values of an organisation's settings, by plugin: [settings.payments].",
    )
    sites: tuple[SiteConfig, ...] = Field(
        default=(), description="Several organisations on one host, each with its database."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = os.environ.get("EBOK_SECRETS_DIR")
        if secrets:
            nested = NestedSecretsSettingsSource(
                file_secret_settings, secrets_dir=secrets, secrets_nested_delimiter="__", secrets_prefix=""
            )
            return nested, env_settings, init_settings
        return env_settings, init_settings


def load_config(path: Path | None = None) -> Config:
    """Read the configuration. ``path`` (or EBOK_CONFIG) must exist; without either, ``./ebok.toml`` is read if there.

    Raises ConfigError, which names every wrong key and, for an unknown one, the nearest right name.
    """
    chosen = path or (Path(os.environ["EBOK_CONFIG"]) if "EBOK_CONFIG" in os.environ else None)
    file = chosen or Path(FILE)
    values: dict[str, Any] = {}
    if chosen is not None or file.exists():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"The configuration file {file} does not exist.") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"The configuration file {file} cannot be read: {error}") from error
    problems = [*unknown_keys(Config, values, str(file)), *_unknown_variables()]
    if problems:
        raise ConfigError("\n".join(problems))
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError("\n".join(_line(file, detail) for detail in error.errors())) from error


def _line(file: Path, detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    return f"{file}: {where}: {detail['msg']}"


def unknown_keys(model: type[BaseModel], values: Mapping[str, Any], where: str, path: str = "") -> Iterator[str]:
    """A line for every key of ``values`` that ``model`` does not have, with the nearest name that it has."""
    for key, value in values.items():
        dotted = f"{path}{key}"
        field = model.model_fields.get(key)
        if field is None:
            yield f"{where}: unknown key {dotted!r}.{nearest(key, list(model.model_fields))}"
            continue
        inner = section_of(field.annotation)
        if inner is not None:
            parts = cast("list[Any]", value) if isinstance(value, list) else [value]
            for part in parts:
                if isinstance(part, Mapping):
                    yield from unknown_keys(inner, cast("Mapping[str, Any]", part), where, f"{dotted}.")


def nearest(name: str, names: list[str]) -> str:
    """`` Did you mean 'server'?``, or nothing when no name is near."""
    close = get_close_matches(name, names, 1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside a field's annotation (``Section``, ``tuple[Section, ...]``), or None."""
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _unknown_variables() -> Iterator[str]:
    known: list[str] = []
    for name, field in Config.model_fields.items():
        inner = section_of(field.annotation)
        known.append(f"{_PREFIX}{name}".upper())
        if inner is not None:
            known.extend(f"{_PREFIX}{name}__{key}".upper() for key in inner.model_fields)
    for variable in sorted(os.environ):
        upper = variable.upper()
        if upper.startswith(_PREFIX) and upper not in _OUTSIDE and upper not in known:
            if upper.startswith(f"{_PREFIX}SETTINGS__"):
                continue
            yield f"Environment: unknown variable {variable}.{nearest(upper, known)}"
