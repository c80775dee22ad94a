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


@pytest.mark.parametrize("module", ["server", "stream.config", "stream.rtc.relay", "stream.http.app"])
def test_openssl_is_loaded_with_our_groups_by_every_way_in(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`server` is what both `livery serve` and `python server.py` import first."""
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    code = f"{WATCH}import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("openssl.cnf"), f"OpenSSL was loaded with {done.stdout.strip()}"
