"""Letters by e-mail: written into an outbox with the fact they tell of, sent by the worker, their delivery logged.

A letter is sent at least once; a repeated one carries the same Message-ID. Its text is kept only until it is sent.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr
from typing import TYPE_CHECKING, Any, Final, LiteralString

import structlog

from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.jobs import current_worker, enqueue
from kernel.plugin.contracts import Job
from kernel.settings import organisation

if TYPE_CHECKING:
    import aiosmtplib

    from kernel.config import Config, MailConfig
    from kernel.site import Site

_log = structlog.get_logger("ebok.mail")

SEND: Final = "kernel.send_mail"
ATTEMPTS: Final = 8
NOT_CONFIGURED_PAUSE: Final = timedelta(minutes=10)
"""How long a letter waits before looking again whether a mail server has been configured."""
CONNECTION_IDLE: Final = 20.0
"""Seconds after which an unused connection to the server is not trusted any more."""

_ADDRESS: Final = re.compile(r"[^\s@<>(),;:\\\"\[\]]+@[^\s@<>(),;:\\\"\[\]]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

WRITE_SQL: Final[LiteralString] = """
insert into kernel.mail_log (recipient, subject, message) values ($1, $2, $3) returning id
"""

LETTER_SQL: Final[LiteralString] = """
select recipient, message, created_at from kernel.mail_log where id = $1 and state <> 'sent' and message is not null
"""

SENT_SQL: Final[LiteralString] = """
update kernel.mail_log
set state = 'sent', sent_at = now(), attempts = attempts + 1, last_error = '', message = null
where id = $1
"""

FAILED_SQL: Final[LiteralString] = """
update kernel.mail_log
set attempts = attempts + 1, last_error = $2,
    state = case when $3 or attempts + 1 >= $4 then 'failed' else 'queued' end,
    message = case when $3 then null else message end
where id = $1
"""

LOG_SQL: Final[LiteralString] = """
select id, recipient, subject, state, attempts, last_error, created_at, sent_at
from kernel.mail_log
where $1::text = '' or state = $1
order by id desc
limit $2
"""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a letter; ``content_type`` as in ``application/pdf``."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A line of the delivery log. ``state`` is queued, sent or failed."""

    id: int
    recipient: str
    subject: str
    state: str
    attempts: int
    last_error: str
    created_at: datetime
    sent_at: datetime | None


async def send_mail(
    conn: Connection,
    to: str,
    subject: str,
    text: str,
    html: str | None = None,
    attachments: Sequence[Attachment] = (),
) -> int:
    """Put a letter into the outbox; it leaves once this transaction commits. Returns its number in the log.

    Raises ValueError for an address that is not exactly one address, or a line break in the address, subject or a
    file's name.
    """
    message = composed(to, subject, text, html, attachments)
    letter: int = await conn.fetchval(WRITE_SQL, to, subject, message.as_bytes())
    await enqueue(conn, SEND, {"mail": letter})
    return letter


async def letters(conn: Connection, *, state: str = "", limit: int = 50) -> Sequence[Letter]:
    """The newest letters, of one state or of all."""
    return [Letter(**row) for row in await conn.fetch(LOG_SQL, state, limit)]


def composed(
    to: str, subject: str, text: str, html: str | None = None, attachments: Sequence[Attachment] = ()
) -> EmailMessage:
    """The letter without its sender, date and number. Raises ValueError as ``send_mail`` does."""
    if not _ADDRESS.fullmatch(to) or len(to) > 254:
        raise ValueError("a letter goes to exactly one e-mail address")
    if any(_CONTROL.search(part) for part in (subject, *(attachment.filename for attachment in attachments))):
        raise ValueError("a subject or a file's name is one line")
    message = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)
    message["To"] = to
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for attachment in attachments:
        kind, _, subtype = attachment.content_type.partition("/")
        message.add_attachment(
            attachment.content, maintype=kind, subtype=subtype or "octet-stream", filename=attachment.filename
        )
    return message


class Transport:
    """Connections to the mail server, kept open between letters that follow each other."""

    def __init__(self, config: MailConfig, tls_context: ssl.SSLContext | None = None) -> None:
        self.config = config
        self._tls_context = tls_context
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []

    async def send(self, message: EmailMessage, recipient: str) -> None:
        """Hand the message to the server. Raises aiosmtplib.SMTPException or OSError."""
        import aiosmtplib

        try:
            async with self._connection(reuse=True) as server:
                await server.send_message(message, sender=self.config.sender, recipients=[recipient])
        except aiosmtplib.SMTPServerDisconnected:
            async with self._connection(reuse=False) as server:
                await server.send_message(message, sender=self.config.sender, recipients=[recipient])

    @asynccontextmanager
    async def _connection(self, *, reuse: bool) -> AsyncGenerator[aiosmtplib.SMTP]:
        server = await self._taken(reuse)
        try:
            yield server
        except BaseException:
            server.close()
            raise
        self._idle.append((time.monotonic(), server))

    async def _taken(self, reuse: bool) -> aiosmtplib.SMTP:
        import aiosmtplib

        while self._idle:
            since, server = self._idle.pop()
            if reuse and server.is_connected and time.monotonic() - since < CONNECTION_IDLE:
                return server
            server.close()
        config = self.config
        server = aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            use_tls=config.tls == "tls",
            start_tls=config.tls == "starttls",
            username=config.username or None,
            password=config.password.get_secret_value() or None,
            local_hostname=config.sender.rpartition("@")[2] or "localhost",
            tls_context=self._tls_context,
            timeout=30,
        )
        await server.connect()
        return server

    async def close(self) -> None:
        """Take leave of the server."""
        idle, self._idle = self._idle, []
        for _since, server in idle:
            with suppress(Exception):
                await server.quit(timeout=2)


_given: Transport | None = None


def use(transport: Transport | None) -> None:
    """Send with this transport, in place of the worker's own."""
    global _given
    _given = transport


def _transport() -> Transport | None:
    worker = current_worker()
    return _given or (worker.keep(_made) if worker else None)


def _made(config: Config) -> Transport:
    return Transport(config.mail)


async def send_letter(site: Site, payload: Mapping[str, Any]) -> None:
    """Send one letter of the outbox. A refusal for good is only logged; other failures are raised, for another try."""
    import aiosmtplib

    letter = int(payload["mail"])
    transport = _transport()
    if transport is None or not transport.config.host:
        async with site.db.transaction(Stamp("worker")) as conn:
            await enqueue(conn, SEND, payload, after=NOT_CONFIGURED_PAUSE)
        return
    async with site.db.connection() as conn:
        row = await conn.fetchrow(LETTER_SQL, letter)
    if row is None:
        return
    message = _signed(site, transport.config.sender, letter, row["message"], row["created_at"])
    try:
        await transport.send(message, row["recipient"])
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        for_good = _is_final(error, row["recipient"])
        async with site.db.transaction(Stamp("worker")) as conn:
            await conn.execute(FAILED_SQL, letter, f"{type(error).__name__}: {error}"[:500], for_good, ATTEMPTS)
        if not for_good:
            raise
        _log.warning("a letter was refused", mail=letter, error=str(error))
        return
    async with site.db.transaction(Stamp("worker")) as conn:
        await conn.execute(SENT_SQL, letter)


def _signed(site: Site, sender: str, letter: int, content: bytes, written: datetime) -> EmailMessage:
    message = BytesParser(_class=EmailMessage, policy=SMTP).parsebytes(content)
    message["From"] = formataddr((organisation(site).name, sender))
    message["Date"] = format_datetime(written)
    message["Message-ID"] = f"<{site.name}.{letter}.{int(written.timestamp())}@{sender.rpartition('@')[2]}>"
    return message


def _is_final(error: Exception, recipient: str) -> bool:
    """Whether the server will refuse this letter every time: for its address, or for its content."""
    import aiosmtplib

    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return all(500 <= refused.code < 600 for refused in error.recipients)
        case aiosmtplib.SMTPNotSupported():
            return not recipient.isascii()
        case aiosmtplib.SMTPDataError() | aiosmtplib.SMTPRecipientRefused():
            return 500 <= error.code < 600
        case _:
            return False


def jobs() -> Iterator[Job]:
    yield Job(SEND, send_letter, attempts=ATTEMPTS)
