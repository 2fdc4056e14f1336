"""Letters leave with the transaction that tells of them, over a real SMTP conversation."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from kernel.config import Config, MailConfig
from kernel.db.pool import Stamp
from kernel.jobs import Worker
from kernel.mail import Attachment, Letter, Transport, composed, letters, send_letter, send_mail, use
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])


class Postbox:
    """What the server received, and how it answers."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answer = "250 OK"
        self.connections = 0

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += session.ssl is not None
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("unknown"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.received.append(message)
            self.recipients.extend(envelope.rcpt_tos)
        return self.answer


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ebok", b"sekret")
    return AuthResult(success=right, handled=False)  # handled=True would leave a refused client waiting


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    made = subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, "-keyout", place),
        capture_output=True,
        check=True,
    )
    with place.open("ab") as file:
        file.write(made.stdout)
    return place


@pytest.fixture
def postbox(certificate: Path) -> Iterator[tuple[Postbox, int]]:
    box = Postbox()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
        enable_SMTPUTF8=True,
    )
    controller.start()
    yield box, port
    controller.stop()


def transport(port: int, certificate: Path, password: str = "sekret") -> Transport:  # noqa: S107
    config = MailConfig(
        host="localhost", port=port, username="ebok", password=SecretStr(password), sender="bok@example.org"
    )
    return Transport(config, ssl.create_default_context(cafile=str(certificate)))


@pytest.fixture
async def sending(postbox: tuple[Postbox, int], certificate: Path) -> AsyncIterator[Postbox]:
    box, port = postbox
    made = transport(port, certificate)
    use(made)
    yield box
    use(None)
    await made.close()


async def write(site: Site, to: str = "jan@example.org", subject: str = "Nowe hasło", **more: Any) -> int:
    async with site.db.transaction(Stamp("test")) as conn:
        return await send_mail(conn, to, subject, "Zażółć gęślą jaźń\n", **more)


async def logged(site: Site) -> list[Letter]:
    async with site.db.connection() as conn:
        return list(await letters(conn))


async def test_a_letter_is_sent_under_tls_after_logging_in(site: Site, sending: Postbox) -> None:
    pdf = Attachment("wezwanie ł.pdf", "application/pdf", b"%PDF")
    number = await write(site, html="<p>Zażółć</p>", attachments=[pdf])
    assert sending.received == []
    await send_letter(site, {"mail": number})
    (message,) = sending.received
    assert message["Subject"] == "Nowe hasło"
    assert message["From"] == "ebok <bok@example.org>"
    assert message["Message-ID"].endswith("@example.org>")
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["Zażółć gęślą jaźń"]
    assert [part.get_filename() for part in message.iter_attachments()] == ["wezwanie ł.pdf"]
    (line,) = await logged(site)
    assert (line.state, line.attempts, line.last_error) == ("sent", 1, "")
    async with site.db.connection() as conn:
        assert await conn.fetchval("select message from kernel.mail_log") is None


async def test_a_letter_is_enqueued_with_its_transaction(site: Site) -> None:
    with suppress(ZeroDivisionError):
        async with site.db.transaction(Stamp("test")) as conn:
            await send_mail(conn, "jan@example.org", "s", "t")
            raise ZeroDivisionError
    assert await logged(site) == []
    number = await write(site)
    async with site.db.connection() as conn:
        payload = await conn.fetchval("select payload from kernel.pgqueuer where entrypoint = 'kernel.send_mail'")
    assert payload == b'{"mail":%d}' % number


async def test_the_worker_sends_with_the_deployments_server(
    site: Site, postbox: tuple[Postbox, int], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    number = await write(site)
    worker = Worker([site], Config(mail=transport(postbox[1], certificate).config))
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            while (await logged(site))[0].state != "sent":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        worker.stop()
        await task
    assert [line.id for line in await logged(site)] == [number]
    assert len(postbox[0].received) == 1


async def test_letters_share_a_connection_and_survive_its_loss(site: Site, sending: Postbox) -> None:
    for _each in range(3):
        await send_letter(site, {"mail": await write(site)})
    assert (len(sending.received), sending.connections) == (3, 1)


async def test_sending_a_sent_letter_again_does_nothing(site: Site, sending: Postbox) -> None:
    number = await write(site)
    await send_letter(site, {"mail": number})
    await send_letter(site, {"mail": number})
    assert len(sending.received) == 1


async def test_an_unknown_recipient_is_given_up_at_once(site: Site, sending: Postbox) -> None:
    await send_letter(site, {"mail": await write(site, "unknown@example.org")})
    (line,) = await logged(site)
    assert line.state == "failed"
    assert "no such mailbox" in line.last_error


async def test_a_passing_failure_is_raised_for_another_try(site: Site, sending: Postbox) -> None:
    import aiosmtplib

    number = await write(site)
    sending.answer = "451 try later"
    with pytest.raises(aiosmtplib.SMTPDataError):
        await send_letter(site, {"mail": number})
    assert [(line.state, line.attempts) for line in await logged(site)] == [("queued", 1)]
    sending.answer = "250 OK"
    await send_letter(site, {"mail": number})
    assert [(line.state, line.attempts) for line in await logged(site)] == [("sent", 2)]


async def test_a_wrong_password_is_raised_and_does_not_hang(
    site: Site, postbox: tuple[Postbox, int], certificate: Path
) -> None:
    import aiosmtplib

    use(transport(postbox[1], certificate, "wrong"))
    try:
        with pytest.raises(aiosmtplib.SMTPAuthenticationError):
            await asyncio.wait_for(send_letter(site, {"mail": await write(site)}), 10)
    finally:
        use(None)


async def test_a_server_with_a_strange_certificate_is_not_trusted(
    site: Site, postbox: tuple[Postbox, int], certificate: Path
) -> None:
    stranger = transport(postbox[1], certificate)
    use(Transport(stranger.config))
    try:
        with pytest.raises((ssl.SSLError, OSError)):
            await send_letter(site, {"mail": await write(site)})
    finally:
        use(None)
    assert postbox[0].received == []


async def test_a_polish_letter_before_the_at_sign_is_no_reason_to_refuse(site: Site, sending: Postbox) -> None:
    await send_letter(site, {"mail": await write(site, "stanisław.wójcik@wp.pl")})
    assert sending.recipients == ["stanisław.wójcik@wp.pl"]
    assert sending.received[0]["Subject"] == "Nowe hasło"


async def test_without_a_server_letters_wait(site: Site) -> None:
    number = await write(site)
    await send_letter(site, {"mail": number})
    assert [line.state for line in await logged(site)] == ["queued"]
    async with site.db.connection() as conn:
        assert (
            await conn.fetchval(
                "select count(*) from kernel.pgqueuer where execute_after > now() and entrypoint = 'kernel.send_mail'"
            )
            == 1
        )


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("jan@example.org\r\nBcc: all@example.org", "x"),
        ("jan@example.org, ola@example.org", "x"),
        ("Jan <jan@example.org>", "x"),
        ("jan", "x"),
        ("", "x"),
        ("jan@example.org", "x\nBcc: all@example.org"),
        ("jan@example.org", "x\x00"),
    ],
)
def test_headers_cannot_be_injected(to: str, subject: str) -> None:
    with pytest.raises(ValueError, match="one"):
        composed(to, subject, "text")


def test_a_files_name_cannot_inject_a_header() -> None:
    with pytest.raises(ValueError, match="one line"):
        composed("jan@example.org", "x", "text", attachments=[Attachment("a\r\nX: y", "text/plain", b"")])
