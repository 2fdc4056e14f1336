"""What the edge lets in and what leaves it, spoken byte by byte where a polite client could not."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from structlog.testing import CapturingLogger

from kernel import Role
from kernel.app import build_app
from kernel.config import Config
from kernel.site import Site
from kernel.testing import HOST, Office
from kernel.web.server import Runner
from tests.plugins_for_tests import probe

pytestmark = pytest.mark.ebok(plugins=[], modules={"probe": probe})

FORM = "application/x-www-form-urlencoded"
PARTS = "Content-Type: multipart/form-data; boundary=b"
TITLE = b'--b\r\nContent-Disposition: form-data; name="title"\r\n'


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


async def say(origin: str, raw: bytes, *, seconds: float = 10) -> Raw:
    """Send these very bytes and read until the server closes."""
    port = int(origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(raw)
        async with asyncio.timeout(seconds):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Raw(int(lines[0].split(" ")[1]), headers, body)


def request(
    line: str = "GET /probe/plain HTTP/1.1", *headers: str, host: str = HOST, body: bytes = b"", length: bool = True
) -> bytes:
    """A request that asks to close the connection afterwards."""
    parts = [line, *([f"Host: {host}"] if host else []), "Connection: close", *headers]
    if length and body:
        parts.append(f"Content-Length: {len(body)}")
    return "\r\n".join(parts).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def post(body: bytes, *headers: str, path: str = "/probe/paper", length: bool = True) -> bytes:
    return request(f"POST {path} HTTP/1.1", *headers, body=body, length=length)


@asynccontextmanager
async def serving(site: Site, config: Config) -> AsyncGenerator[str]:
    """The product with another configuration; its origin."""
    app = build_app(config, dict.fromkeys(site.hosts, site), site.registry)
    runner = Runner(app, config)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- hosts, methods, addresses --------------------------------------------------------------------------------------


async def test_an_unknown_host_does_not_exist(office: Office) -> None:
    answer = await say(office.origin, request(host="evil.example"))
    assert answer.status == 404
    assert "Pod tym adresem nie działa żadne biuro" in answer.text
    assert "evil" not in answer.text
    assert (await say(office.origin, request(host="LOCALHOST.:8080"))).status == 200


async def test_no_host_or_two_hosts_are_refused(office: Office) -> None:
    assert (await say(office.origin, request(host=""))).status in (400, 404)
    assert (await say(office.origin, request("GET /probe/plain HTTP/1.1", "Host: localhost"))).status in (400, 404)


async def test_a_whole_address_in_the_request_line_cannot_claim_tls(office: Office) -> None:
    answer = await say(office.origin, request(f"GET https://{HOST}/probe/plain HTTP/1.1"))
    assert answer.status == 200
    assert "strict-transport-security" not in answer.headers
    assert (await say(office.origin, request("GET http://evil.example/probe/plain HTTP/1.1"))).status == 404


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "FROB"])
async def test_odd_methods_are_refused(office: Office, method: str) -> None:
    assert (await say(office.origin, request(f"{method} /probe/plain HTTP/1.1"))).status in (400, 405)


async def test_a_wrong_method_says_which_work(office: Office) -> None:
    answer = await say(office.origin, request("DELETE /probe/plain HTTP/1.1", "Sec-Fetch-Site: same-origin"))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET,HEAD"


async def test_head_has_the_headers_of_get_and_no_body(office: Office) -> None:
    answer = await say(office.origin, request("HEAD /probe/plain HTTP/1.1"))
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 100


@pytest.mark.parametrize("address", ["/probe/%00", "/probe/plain?q=%00", "/probe/plain?%00=1", "/probe/\udcff"])
async def test_addresses_that_no_database_can_hold(office: Office, address: str) -> None:
    assert (await say(office.origin, request(f"GET {address} HTTP/1.1"))).status == 400


@pytest.mark.parametrize("address", ["/probe/%ED%A0%80", "/probe/%FF", "/nothing", "/probe/..%2f..%2fetc"])
async def test_strange_addresses_do_not_exist(office: Office, address: str) -> None:
    assert (await say(office.origin, request(f"GET {address} HTTP/1.1"))).status in (400, 404)


@pytest.mark.parametrize(
    "raw",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"],
)
async def test_a_broken_head_is_a_plain_400_without_a_banner(site: Site, raw: bytes) -> None:
    async with serving(site, Config()) as origin:
        answer = await say(origin, raw)
    assert (answer.status, answer.text) == (400, "400\n")
    assert answer.headers["server"] == "ebok"


async def test_a_head_that_is_too_large_is_refused(office: Office) -> None:
    assert (await say(office.origin, request(f"GET /{'a' * 20_000} HTTP/1.1"))).status == 400
    assert (await say(office.origin, request("GET / HTTP/1.1", f"X-Large: {'a' * 20_000}"))).status == 400
    many = [f"X-{number}: 1" for number in range(500)]
    assert (await say(office.origin, request("GET / HTTP/1.1", *many))).status == 400


# --- headers --------------------------------------------------------------------------------------------------------


async def test_every_answer_is_protected(office: Office) -> None:
    for path in ("/probe/plain", "/nothing", "/probe/boom", "/api/v1/probe/boom", "/probe/pdf", "/probe"):
        answer = await say(office.origin, request(f"GET {path} HTTP/1.1"))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 16
        assert "server" not in answer.headers
        assert "secret detail" not in answer.text


async def test_the_nonce_of_the_policy_is_fresh(office: Office) -> None:
    policies = {(await say(office.origin, request())).headers["content-security-policy"] for _ in range(3)}
    assert len(policies) == 3
    assert all("frame-ancestors 'none'" in policy and "unsafe" not in policy for policy in policies)


async def test_errors_of_the_api_are_problems(office: Office) -> None:
    answer = await say(office.origin, request("GET /api/v1/nothing HTTP/1.1", "Accept: text/html"))
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json; charset=utf-8"


async def test_a_page_speaks_the_language_of_the_browser(office: Office) -> None:
    english = await say(office.origin, request("GET /nothing HTTP/1.1", "Accept-Language: en-GB,pl;q=0.5"))
    assert "There is no such page" in english.text
    assert "Nie ma takiej strony" in (await say(office.origin, request("GET /nothing HTTP/1.1"))).text


# --- where a request comes from -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "none"}, 422),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "ORIGIN"}, 422),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Authorization": "Bearer x"}, 403),
    ],
)
async def test_forged_forms_are_refused(office: Office, headers: dict[str, str], status: int) -> None:
    visitor = await office.visitor(Role.CUSTOMER)
    sent = {name: office.origin if value == "ORIGIN" else value for name, value in headers.items()}
    async with visitor.http.post(f"{office.origin}/probe", data={}, headers=sent) as answer:
        assert answer.status == status


async def test_a_token_frees_from_the_origin_check_but_a_cookie_beside_it_means_nothing(office: Office) -> None:
    visitor = await office.visitor(Role.CUSTOMER)
    headers = {"Authorization": "Bearer x"}
    async with visitor.http.post(f"{office.origin}/api/v1/probe", json={"text": "a"}, headers=headers) as answer:
        assert answer.status == 401


async def test_forwarded_headers_are_believed_from_trusted_proxies_only(site: Site) -> None:
    claims = ("X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-For: 203.0.113.7")
    async with serving(site, Config()) as origin:
        answer = await say(origin, request("GET /probe/plain HTTP/1.1", *claims))
        assert answer.status == 200
        assert "strict-transport-security" not in answer.headers
    trusting = Config.model_validate({"server": {"trusted_proxies": [f"{HOST}/32"]}})
    async with serving(site, trusting) as origin:
        assert (await say(origin, request("GET /probe/plain HTTP/1.1", *claims))).status == 404
        answer = await say(
            origin,
            request(
                "GET /probe/plain HTTP/1.1",
                claims[0],
                "X-Forwarded-Host: localhost",
                "X-Request-Id: abcdefgh-1",
                host="inner",
            ),
        )
        assert answer.status == 200
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        assert answer.headers["x-request-id"] == "abcdefgh-1"


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (post(b"title=a", f"Content-Type: {FORM}; charset=klingon"), 415),
        (post(b"title=a", f"Content-Type: {FORM}; charset=iso-8859-2"), 415),
        (post(b"title=a", "Content-Type: text/plain"), 415),
        (post(b"{}", "Content-Type: application/json"), 415),
        (post(b"title=a"), 415),
        (post(b"title=%ff", f"Content-Type: {FORM}"), 400),
        (post(b"title=\xff", f"Content-Type: {FORM}"), 400),
        (post(b"title=a&" * 3000, f"Content-Type: {FORM}"), 413),
        (post(b"x", "Content-Type: multipart/form-data"), 400),
        (post(b"x", PARTS), 400),
        (post(b"--b\r\n\r\nx\r\n--b--\r\n", PARTS), 400),
        (
            post(
                TITLE + b"\r\nx",
                PARTS,
            ),
            400,
        ),
        (
            post(
                TITLE + b"Content-Type: text/plain; charset=nope\r\n\r\nx\r\n--b--\r\n",
                PARTS,
            ),
            415,
        ),
        (post(b"not gzip", f"Content-Type: {FORM}", "Content-Encoding: gzip"), 400),
        (post(gzip.compress(b"title=a")[:12] + b"damage", f"Content-Type: {FORM}", "Content-Encoding: gzip"), 400),
        (post(gzip.compress(b"title=a"), f"Content-Type: {FORM}", "Content-Encoding: gzip"), 422),
        (post(zlib.compress(b"title=a"), f"Content-Type: {FORM}", "Content-Encoding: deflate"), 422),
        (post(b"title=a", f"Content-Type: {FORM}", "Content-Encoding: brainfuck"), 415),
        (post(b"title=a", f"Content-Type: {FORM}", "Content-Encoding: br"), 400),
        (post(gzip.compress(b"a" * 60_000_000), f"Content-Type: {FORM}", "Content-Encoding: gzip"), 413),
        (post(b"", f"Content-Type: {FORM}", "Content-Length: 99999999"), 413),
        (post(b"", f"Content-Type: {FORM}", "Content-Length: 0"), 422),
        (post(b"title=a&title=b", f"Content-Type: {FORM}"), 422),
        (post(b"title=a%00b", f"Content-Type: {FORM}"), 422),
        (post(b"0\r\n\r\n", f"Content-Type: {FORM}", "Transfer-Encoding: chunked", "Content-Length: 5"), 400),
        (post(b"0\r\n\r\n", f"Content-Type: {FORM}", "Transfer-Encoding: xchunked", length=False), 400),
        (post(b"", f"Content-Type: {FORM}", "Content-Length: +5"), 400),
        (post(b"title", f"Content-Type: {FORM}", "Content-Length: 5", "Content-Length: 6", length=False), 400),
        (post(b"title=a", f"Content-Type: {FORM}", "User-Agent: \udcff"), 400),
        (post(b"5\r\ntitle\r\nzz\r\n", f"Content-Type: {FORM}", "Transfer-Encoding: chunked", length=False), 400),
    ],
)
async def test_bodies_that_cannot_be_read(office: Office, raw: bytes, status: int) -> None:
    answer = await say(office.origin, raw)
    assert answer.status == status
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"text": NaN}', 400),
        (b'{"text": 1e999}', 400),
        (b'{"text": "a", "text": "b"}', 400),
        (b'{"text": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b"[" * 50 + b"]" * 50, 400),
        (b'{"n": ' + b"9" * 10_000 + b"}", 400),
        (b'{"text": "a\\u0000b"}', 422),
        (b'{"text": "a\\ud800b"}', 422),
        (b"[]", 422),
        (b"null", 422),
    ],
)
async def test_json_that_cannot_be_read(office: Office, body: bytes, status: int) -> None:
    visitor = await office.visitor(Role.CUSTOMER)
    answer = await visitor.send("POST", "/api/v1/probe", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_the_api_takes_json_only(office: Office) -> None:
    visitor = await office.visitor(Role.CUSTOMER)
    assert (await visitor.post("/api/v1/probe", {"text": "a"})).status == 415


async def test_both_limits_of_size(site: Site) -> None:
    small = Config.model_validate({"server": {"form_bytes": 2048, "upload_bytes": 8192}})
    async with serving(site, small) as origin:
        form = b"title=" + b"a" * 4000
        assert (await say(origin, post(form, f"Content-Type: {FORM}"))).status == 422
        assert (await say(origin, post(form + b"a" * 8192, f"Content-Type: {FORM}"))).status == 413
        chunks = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        endless = post(chunks * 4, f"Content-Type: {FORM}", "Transfer-Encoding: chunked", length=False)
        assert (await say(origin, endless)).status == 413


# --- slow people ----------------------------------------------------------------------------------------------------


async def test_a_slow_body_is_given_up(site: Site) -> None:
    async with serving(site, Config.model_validate({"server": {"body_seconds": 0.3}})) as origin:
        answer = await say(origin, post(b"title", f"Content-Type: {FORM}", "Content-Length: 100", length=False))
        assert answer.status == 408


async def test_a_slow_head_is_dropped(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.web.server.DIRECT_KEEPALIVE", 0.5)
    async with serving(site, Config()) as origin:
        port = int(origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(HOST, port)
        loop = asyncio.get_running_loop()
        started = loop.time()
        writer.write(b"GET /probe/plain HTTP/1.1\r\n")

        async def drip() -> None:
            while not writer.is_closing():
                await asyncio.sleep(0.1)
                writer.write(b"X-Drop: 1\r\n")

        dripping = asyncio.create_task(drip())
        try:
            async with asyncio.timeout(5):
                assert await reader.read() == b""
        except ConnectionError:
            pass
        finally:
            dripping.cancel()
            writer.close()
        assert loop.time() - started < 3


async def test_an_upgrade_that_nobody_offers_is_a_plain_request(office: Office) -> None:
    for wish in ("websocket", "h2c"):
        upgrade = request("GET /probe/plain HTTP/1.1", f"Upgrade: {wish}").replace(b"close", b"Upgrade, close")
        assert (await say(office.origin, upgrade)).status == 200


async def test_secrets_in_addresses_stay_out_of_the_log(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = CapturingLogger()
    monkeypatch.setattr("kernel.web.middlewares._log", kept)
    await say(office.origin, request("GET /reset/s3cr3t-token-mangled-by-mail.?q=Kowalski HTTP/1.1"))
    await say(office.origin, request("GET /reset/s3cr3t-token-as-it-was-sent?q=Kowalski HTTP/1.1"))
    await say(office.origin, request("GET /probe/42 HTTP/1.1"))
    mangled, reset, one = (call.kwargs for call in kept.calls)
    assert (mangled["path"], reset["route"]) == ("/reset/*", "kernel.reset_link")
    assert "s3cr3t" not in str(kept.calls)
    assert "Kowalski" not in str(kept.calls)
    assert (one["route"], one["ids"]) == ("probe.one", {"note": "42"})
