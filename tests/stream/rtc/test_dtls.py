"""The OpenSSL configuration is in place whichever way the process starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.stream.rig import ROOT

WATCH = """\
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "cryptography.hazmat.bindings._rust":
            print(os.environ.get("OPENSSL_CONF", "none"))

sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize(
    "module", ["server", "stream.config", "stream.rtc.relay", "stream.http.app", "stream.http.running"]
)
def test_openssl_is_loaded_with_our_groups_by_every_way_in(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`server` is what both `livery serve` and `python server.py` import first."""
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    code = f"{WATCH}import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("openssl.cnf"), f"OpenSSL was loaded with {done.stdout.strip()}"


HANDSHAKE = """\
import sys
if sys.argv[1] == "ours":
    import stream.rtc.dtls
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
import datetime

key = ec.generate_private_key(ec.SECP224R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
now = datetime.datetime.now(datetime.UTC)
cert = (
    x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    .sign(key, hashes.SHA256())
)
serving, calling = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
serving.set_max_proto_version(SSL.TLS1_2_VERSION)  # DTLS 1.2 is of this kind
serving.use_certificate(cert)
serving.use_privatekey(key)
here, there = SSL.Connection(calling), SSL.Connection(serving)
here.set_connect_state()
there.set_accept_state()
done = 0
for _ in range(8):
    for one, other in ((here, there), (there, here)):
        try:
            one.do_handshake()
            done += 1
        except SSL.WantReadError:
            pass
        try:
            other.bio_write(one.bio_read(1 << 16))
        except SSL.WantReadError:
            pass
print("agreed" if done > 8 else "not yet")
"""


def test_a_peer_with_a_key_on_ffmpegs_curve_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not without our configuration, nor with OpenSSL 4, hence the cap on cryptography."""
    monkeypatch.delenv("OPENSSL_CONF", raising=False)

    def outcome(whose: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", HANDSHAKE, whose]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    ours, plain = outcome("ours"), outcome("plain")
    assert ours.stdout.strip() == "agreed", ours.stderr
    assert plain.returncode != 0
    assert "SSL.Error" in plain.stderr
