"""The process's environment below Python: what libraries written in C read."""

from __future__ import annotations

import ctypes
import sys


def set_native_variable(name: str, value: str) -> None:
    """Set an environment variable for native code of this process; `os.environ` keeps what it had.

    A process that is started from here without an environment of its own gets it as well.

    Args:
        name: of the variable.
        value: what native code reads from now on.

    Raises:
        OSError: the system refused.
    """
    if sys.platform == "win32":
        done = bool(ctypes.windll.kernel32.SetEnvironmentVariableW(name, value))
    else:
        done = ctypes.CDLL(None, use_errno=True).setenv(name.encode(), value.encode(), 1) == 0
    if not done:
        raise OSError(f"the system would not set {name} for native code")
