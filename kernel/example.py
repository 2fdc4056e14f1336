"""``ebok.example.toml``: every deployment setting with its default and meaning, generated from the models.

``python -m kernel.example > ebok.example.toml``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from kernel.config import Config, SiteConfig, section_of

_START = """\
# Deployment settings of ebok. Every key is optional; what stands here, commented out, is the default.
# A value may also come from the environment (EBOK_SERVER__PORT=9000) or from a file in the directory EBOK_SECRETS_DIR
# (server__port); the later wins. What an organisation decides for itself is edited in the console.
"""
_SITE_NAME, _SITE_HOST = "spoldzielnia", "bok.example.org"


def example_toml() -> str:
    """The whole example file."""
    lines = [_START, *_keys(Config, skip_sections=True)]
    for name, field in Config.model_fields.items():
        section = section_of(field.annotation)
        if section is SiteConfig:
            lines += ["", f"# {field.description}", f"# [[{name}]]", *_keys(SiteConfig)]
        elif section is not None:
            lines += ["", f"# {field.description}", f"[{name}]", *_keys(section)]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], *, skip_sections: bool = False) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if skip_sections and (section_of(field.annotation) or name == "settings"):
            continue
        yield f"# {field.description}"
        default = field.get_default(call_default_factory=True, validated_data={})
        yield f"# {name} = {_toml(name, default)}" if default is not None else f"# {name} (not set)"


def _toml(name: str, value: Any) -> str:
    match value:
        case SecretStr():
            return json.dumps(value.get_secret_value())
        case bool():
            return str(value).lower()
        case tuple():
            return json.dumps(list(value))  # pyright: ignore[reportUnknownArgumentType]
        case Path() | str():
            return json.dumps(str(value))
        case _ if value is PydanticUndefined:
            return json.dumps([_SITE_HOST] if name == "hosts" else _SITE_NAME)
        case _:
            return str(value)


if __name__ == "__main__":
    sys.stdout.write(example_toml())
