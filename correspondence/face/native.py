"""The process's environment as native code reads it."""

from __future__ import annotations

import ctypes
import sys


def set_native_variable(name: str, value: str) -> None:
    """Set an environment variable for native code of this process. `os.environ` does not change.

    A child process that is started without an explicit environment inherits the variable.

    Args:
        name: name of the variable.
        value: its new value for native code.

    Raises:
        OSError: the system did not set the variable.
    """
    if sys.platform == "win32":
        done = bool(ctypes.windll.kernel32.SetEnvironmentVariableW(name, value))
    else:
        done = ctypes.CDLL(None, use_errno=True).setenv(name.encode(), value.encode(), 1) == 0
    if not done:
        raise OSError(f"the system would not set {name} for native code")
