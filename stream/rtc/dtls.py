"""Loads OpenSSL with the curves that DTLS peers use.

FFmpeg's WHIP muxer over GnuTLS (what PyAV bundles) signs with a key on secp224r1. OpenSSL refuses a peer
whose key is on a curve that is not in its own list of groups, and its default list lacks this one; the
bindings have no call that changes the list, so it comes from a configuration that is in place while the
library is loaded. OpenSSL 4 has dropped the curve from TLS, hence `cryptography<47` in pyproject.toml.
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
    """Load cryptography's OpenSSL with `CONFIG`; the environment is as before afterwards.

    Returns:
        False where nothing was done: the library is loaded already, or the user has a configuration
        ($OPENSSL_CONF), which then decides.
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
