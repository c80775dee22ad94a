"""TLS certificates: from files that may be renewed, or self-signed for the local network."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ipaddress
import logging
import os
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stream.errors import StartError
from stream.storage.disk import write_file

logger = logging.getLogger(__name__)

LOOK_S = 10.0  # time between two checks for renewed files
VALID_DAYS = 397  # longest validity that browsers accept
SPARE_DAYS = 30  # a self-signed certificate is made anew this long before its end
HSTS = "max-age=31536000"


class Tls:
    """A server's certificate.

    Args:
        cert, key: PEM files. `cert` may hold the certificate's chain.

    Raises:
        StartError: a file is missing, or the two do not belong together.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self.cert, self.key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_alpn_protocols(["http/1.1"])
        self._stamp = self._now()
        try:
            self.context.load_cert_chain(cert, key, password=_no_password)
        except (OSError, ValueError) as exc:
            raise StartError(_why(exc, cert, key)) from exc

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in pairs of digits as browsers show it."""
        loaded = x509.load_pem_x509_certificate(self.cert.read_bytes())
        digest = hashlib.sha256(loaded.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
        return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    def renew(self) -> bool:
        """Load the files again if they changed.

        Files that cannot be loaded, such as half-written ones, are left.

        Returns:
            Whether new connections get another certificate.
        """
        stamp = self._now()
        if stamp == self._stamp or None in stamp:
            return False
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, _no_password)
            self.context.load_cert_chain(self.cert, self.key, _no_password)
        except (OSError, ValueError) as exc:
            logger.warning("the renewed certificate is not used: %s", _why(exc, self.cert, self.key))
            return False
        self._stamp = stamp
        logger.info("the certificate was renewed")
        return True

    async def watch(self) -> None:
        """Call `renew` every `LOOK_S` seconds until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.renew)

    def _now(self) -> tuple[int | None, int | None]:
        return _saved(self.cert), _saved(self.key)


def _saved(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _no_password() -> str:
    raise ValueError("the key asks for a password; save it without one")


def _why(error: Exception, cert: Path, key: Path) -> str:
    for path in (cert, key):
        if not path.exists():
            return f"--tls: {path}: no such file"
        if not os.access(path, os.R_OK):
            return f"--tls: {path}: may not be read by this user"
    if isinstance(error, ssl.SSLError) and "KEY_VALUES_MISMATCH" in str(error):
        return f"--tls: {key} is not the key of {cert}"
    if isinstance(error, ssl.SSLError):
        return f"--tls: {cert} and {key} must be a certificate and its key in PEM ({error.reason or error})"
    return f"--tls: {error}"


def self_signed(folder: Path, names: list[str], now: datetime.datetime | None = None) -> Tls:
    """Return a self-signed certificate.

    It is kept in a folder, so that a browser's exception outlives the server.

    Args:
        folder: where it is kept; made if missing.
        names: host names and addresses that it must be valid for.
        now: the time. None means the present.

    Raises:
        StartError: the folder cannot be written to.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    cert, key = folder / "self-signed.crt", folder / "self-signed.key"
    try:
        if not _serves(cert, key, names, now):
            folder.mkdir(parents=True, exist_ok=True)
            _make(cert, key, names, now)
    except OSError as exc:
        raise StartError(
            f"--tls auto: {folder} cannot be written ({exc.strerror or exc}); name files of your own with "
            "--tls CERT KEY, or set XDG_CONFIG_HOME to a folder that this user may write to"
        ) from exc
    return Tls(cert, key)


def _serves(cert: Path, key: Path, names: list[str], now: datetime.datetime) -> bool:
    """Whether the certificate exists, is valid for a while yet, and holds all names."""
    if not (cert.exists() and key.exists()):
        return False
    try:
        held = x509.load_pem_x509_certificate(cert.read_bytes())
        known = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    fresh = held.not_valid_before_utc <= now <= held.not_valid_after_utc - datetime.timedelta(SPARE_DAYS)
    return fresh and all(name in known for name in _general_names(names))


def _general_names(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _make(cert: Path, key: Path, names: list[str], now: datetime.datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Livery")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(key, secret)
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def local_names(addresses: list[str], host: str, public: str | None) -> list[str]:
    """Return names under which clients may reach a server on this machine.

    Args:
        addresses: this machine's addresses.
        host: the address it listens on.
        public: the address announced behind 1:1 NAT, if any.
    """
    hostname = socket.gethostname()
    names = ["localhost", "127.0.0.1", "::1", hostname, f"{hostname}.local", *addresses]
    names += [name for name in (host, public) if name and name not in ("0.0.0.0", "::")]
    ascii_names = [name.partition("%")[0] for name in names if name.isascii() and "_" not in name]
    return list(dict.fromkeys(ascii_names))
