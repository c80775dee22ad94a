"""Loads OpenSSL with the curves that DTLS peers use.

FFmpeg's WHIP muxer over GnuTLS (which PyAV bundles) signs with a key on secp224r1. OpenSSL refuses a peer
whose key is on a curve that is missing from its list of groups, and its default list lacks this curve. The
bindings cannot change the list. It is therefore set by a configuration that is in place while the library is
loaded. OpenSSL 4 has dropped the curve from TLS, hence `cryptography<47` in pyproject.toml.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

LIBRARY = "cryptography.hazmat.bindings._rust"
VARIABLE = "OPENSSL_CONF"
CONFIG = """\
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = groups
[groups]
Groups = X25519:P-256:P-384:P-521:?P-224
"""


def load_openssl() -> bool:
    """Load cryptography's OpenSSL with `CONFIG`. The environment is restored afterwards.

    Returns:
        Whether the library was loaded. False if it is loaded already, or if the user has a configuration of
        their own ($OPENSSL_CONF), which is then used.
    """
    if LIBRARY in sys.modules or VARIABLE in os.environ:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "openssl.cnf")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIG)
        os.environ[VARIABLE] = path
        try:
            importlib.import_module(LIBRARY)
        finally:
            del os.environ[VARIABLE]
    return True


load_openssl()
