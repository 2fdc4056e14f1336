"""Style sheets, scripts and images of the kernel, the plugins and the theme, under ``/static/<owner>/<path>?v=<hash>``.

All files are known at start: an address that is not among them does not exist, so there is nothing to traverse or list.
The address changes with the content, so browsers keep a file for a year.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from kernel.plugin.contracts import Loaded
from kernel.plugin.manager import KERNEL
from kernel.web.themes import Theme, stylesheet

PREFIX: Final = "/static/"
THEME_OWNER: Final = "theme"
STYLES: Final = ("reset", "base", "layout", "components", "print")
"""The layers of the kernel's own style sheet after the tokens, in order; together they are ``kernel/app.css``."""
CONSOLE_STYLES: Final = "console"
"""What only the office's pages need, in the same layers: ``kernel/console.css``, which no customer's phone loads."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
_COMPRESSED: Final = frozenset({".css", ".js", ".svg", ".json", ".webmanifest", ".txt"})
_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to be sent."""

    body: bytes
    gzipped: bytes | None
    content_type: str
    version: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files that the product serves, by ``<owner>/<path>``."""

    found: Mapping[str, Asset]
    addresses: Mapping[str, str]

    def url(self, name: str) -> str:
        """The address of ``kernel/app.css`` with the hash of its content. Raises LookupError for an unknown file."""
        try:
            return self.addresses[name]
        except KeyError:
            raise LookupError(f"there is no static file {name!r}") from None


ASSETS: Final = web.AppKey("assets", Assets)


def collect(plugins: Iterable[Loaded], theme: Theme) -> Assets:
    """Read the ``static/`` directories of ``plugins`` (the kernel is one) and of ``theme`` and its parents.

    A file of a kind that is not known is left out, so a stray note or source map is not published.
    """
    found: dict[str, Asset] = {}
    for plugin in plugins:
        for path, file in _files(plugin.path / "static"):
            found[f"{plugin.name}/{path}"] = _asset(file.read_bytes(), file.suffix)
        if plugin.name == KERNEL:
            sheets = plugin.path / "static" / "css"
            console = (sheets / f"{CONSOLE_STYLES}.css").read_text(encoding="utf-8")
            found[f"{KERNEL}/app.css"] = _asset(_app_css(sheets, theme).encode(), ".css")
            found[f"{KERNEL}/console.css"] = _asset(_without_blanks(console).encode(), ".css")
    for part in reversed(list(theme.lineage)):
        for path, file in _files(part.path / "static"):
            found[f"{THEME_OWNER}/{path}"] = _asset(file.read_bytes(), file.suffix)
    return Assets(found, {name: f"{PREFIX}{name}?v={asset.version}" for name, asset in found.items()})


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.suffix in _TYPES:
            yield file.relative_to(directory).as_posix(), file


def _app_css(directory: Path, theme: Theme) -> str:
    layers = "@layer reset, tokens, base, layout, components, print;\n"
    parts = [(directory / f"{name}.css").read_text(encoding="utf-8") for name in STYLES]
    return _without_blanks("".join([layers, parts[0], stylesheet(theme), *parts[1:]]))


def _without_blanks(css: str) -> str:
    """The same style sheet without comments and needless blanks; those around ``+ - : >`` may matter and stay."""
    bare = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))
    return re.sub(r" ?([{};,]) ?", r"\1", bare).replace(";}", "}")


def _asset(body: bytes, suffix: str) -> Asset:
    gzipped = gzip.compress(body, mtime=0) if suffix in _COMPRESSED else None
    version = hashlib.blake2b(body, digest_size=6).hexdigest()
    return Asset(body, gzipped if gzipped and len(gzipped) < len(body) else None, _TYPES[suffix], version)


async def serve(request: web.Request) -> web.Response:
    """Send one file; 304 when the browser has it, 404 when there is none."""
    asset = request.app[ASSETS].found.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    etag = f'"{asset.version}"'
    headers = {
        "Cache-Control": _FOREVER if request.query.get("v") == asset.version else _ASK_AGAIN,
        "ETag": etag,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Vary": "Accept-Encoding",
    }
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    if asset.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=asset.gzipped, headers=headers)
    return web.Response(body=asset.body, headers=headers)


def setup_assets(app: web.Application, assets: Assets) -> None:
    """Serve ``assets`` from ``app``."""
    app[ASSETS] = assets
    app.router.add_get(PREFIX + "{name:.+}", serve, name="static")
