"""TLS: what a server shows, renewed without a restart, and what a client of the same machine believes."""

import re
import ssl
from pathlib import Path

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.edge.reports import report

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Tls:
    """A server's certificate and key.

    Attributes:
        context: For connections; a new certificate holds for those that come after it.
        certificate: The server's own, as PEM.
        not_renewed: Why the files as they are now could not be taken; None where what they hold is shown.

    Args:
        cert: A file with the certificate, and those between it and what clients trust.
        key: A file with its key, without a password.

    Raises:
        InvalidInput: ``tls-not-usable``.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.not_renewed: InvalidInput | None = None
        self._mark = self._taken = self._marks()
        self.certificate = self._load()

    def refresh(self) -> None:
        """Take the files anew where they are not as they were; where they do not fit, the old ones are kept."""
        try:
            mark = self._marks()
            if mark == self._taken:
                self._mark, self.not_renewed = mark, None
            if mark == self._mark:
                return
            self._mark = mark
            self.certificate = self._load()
        except InvalidInput as error:
            # Files that are gone are looked for each second.
            if self.not_renewed is None or self.not_renewed.why != error.why:
                report("tls-not-renewed", error=error.message, why=error.why)
            self.not_renewed = error
        else:
            self._taken, self.not_renewed = mark, None
            report("tls-renewed")

    def _load(self) -> str:
        try:
            # Into another one first: a certificate whose key does not fit must not stay in this one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key, password="")
            self.context.load_cert_chain(self._cert, self._key, password="")
            return own(self._cert.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise self._not_usable(error) from error

    def _marks(self) -> list[tuple[int, int, int]]:
        try:
            found = [self._cert.stat(), self._key.stat()]
        except OSError as error:
            raise self._not_usable(error) from error
        return [(about.st_mtime_ns, about.st_size, about.st_ino) for about in found]

    def _not_usable(self, error: Exception) -> InvalidInput:
        return InvalidInput(
            f"The server cannot speak TLS with {self._cert} and {self._key}.",
            why=str(error),
            hint="Give the certificate's file with '--tls-cert' and its key's, without a password, with '--tls-key'.",
            code=codes.TLS_NOT_USABLE,
        )


def own(chain: str) -> str:
    """The first certificate of a chain, which is the server's own; empty where there is none."""
    found = _PEM.search(chain)
    return found[0] if found else ""


def pinned(certificate: str) -> ssl.SSLContext:
    """For a client that knows which certificate the server must show, under whatever name it is reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=own(certificate))
    return context
