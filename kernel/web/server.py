"""The listening side: slow and oversized request heads are dropped, unreadable ones answered without a banner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

if TYPE_CHECKING:
    from kernel.config import Config

DIRECT_KEEPALIVE: Final = 20.0
"""Seconds in which a browser must send its next whole request head: it is also what ends a head sent drop by drop."""
PROXY_KEEPALIVE: Final = 75.0
"""The same behind proxies, which keep connections open for a minute and send heads whole."""

_log = structlog.get_logger("ebok.server")


def server_options(config: Config) -> dict[str, Any]:
    """Limits of a connection, as ``aiohttp`` takes them."""
    return {
        "keepalive_timeout": PROXY_KEEPALIVE if config.server.trusted_proxies else DIRECT_KEEPALIVE,
        "lingering_time": 5.0,
        "max_line_size": 8190,
        "max_field_size": 8190,
        "max_headers": 100,
    }


class _Conversation(web.RequestHandler):
    """One connection. What cannot be read as HTTP gets a short plain answer."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            _log.error("a request failed outside the application", exc_info=exc)
        else:
            _log.info("unreadable request", status=status, remote=request.remote)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        headers = {"Server": "ebok", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        response = web.Response(status=status, text=f"{status}\n", headers=headers)
        response.force_close()
        return response


class _Listener(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Conversation(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application within the limits of its configuration; used like ``web.AppRunner``."""

    def __init__(self, app: web.Application, config: Config) -> None:
        self._options: dict[str, Any] = {**server_options(config), "access_log": None}
        super().__init__(app, shutdown_timeout=config.server.stop_seconds, **self._options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Listener(
            made.request_handler,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **self._options,
        )
