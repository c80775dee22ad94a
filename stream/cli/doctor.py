"""Checks of the machine: what Livery needs, each tried for real, and the way out where it is missing."""

from __future__ import annotations

import importlib.util
import platform
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

NEEDED = ("aiohttp", "aiortc", "av", "cv2", "mediapipe", "numpy", "skimage", "tqdm")
OPTIONAL = {  # package -> extras that bring it
    "torch": "gpu, train, fill and prompt",
    "diffusers": "gpu, train, fill and prompt",
    "transformers": "prompt",
    "timm": "gpu and train",
    "pyvirtualcam": "obs",
    "ray": "cluster",
    "matplotlib": "bench and train",
}
CODECS = ("libx264", "libvpx", "libvpx-vp9", "libopus")
OLDEST = (3, 11)


class CheckError(Exception):
    """What a check found missing; the message names the way out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: `ok` is None where something optional is missing."""

    name: str
    ok: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """Run every check, in order; none stops the others."""
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "system": _system,
        "packages": _packages,
        "face landmarks": _landmarks,
        "matcher": _matcher,
        "codecs": _codecs,
        "UDP address": _address,
    }
    for name, check in checks.items():
        try:
            yield Finding(name, True, check())
        except Exception as exc:
            yield Finding(name, False, " ".join(str(exc).split()) or type(exc).__name__)
    yield _runtime()
    yield _cameras()
    yield _data()
    for package, extra in OPTIONAL.items():
        yield _optional(package, extra)


def _python() -> str:
    if sys.version_info[:2] < OLDEST:
        raise CheckError(
            f"needs Python 3.11 or later, runs on {platform.python_version()}; make the venv with it"
        )
    return f"{platform.python_version()} on {platform.platform()}"


def _system() -> str:
    """What this system is served with; an error where no MediaPipe is made for it."""
    if (sys.platform, platform.machine()) == ("darwin", "x86_64"):
        raise CheckError(
            "MediaPipe is made for Macs with Apple silicon only, not for Intel's; with Apple silicon use a "
            "Python that does not run under Rosetta"
        )
    if sys.platform == "win32":
        from stream.http.connections import MAX_CONNECTIONS

        clock = "" if sys.version_info >= (3, 13) else "; Python 3.13 or later has the finer clock"
        return f"asyncio's selector loop, up to {MAX_CONNECTIONS} connections{clock}"
    loop = "uvloop" if importlib.util.find_spec("uvloop") is not None else "asyncio's loop, no uvloop"
    return loop if sys.platform in ("linux", "darwin") else f"{loop}; {sys.platform} is not known to Livery"


def _cameras() -> Finding:
    """What `livery camera` could open; the page's cameras are the browser's."""
    import av

    from stream.camera.source import DEVICES, list_cameras, permission

    name, form = "cameras", DEVICES.get(sys.platform, "v4l2")
    if not any(form in names.split(",") for names in av.formats_available):
        return Finding(name, None, f"this build of PyAV has no {form}; install its wheel from PyPI")
    found = [text for _, text in list_cameras()]
    if not found and sys.platform == "darwin":  # which lists them to the log only
        return Finding(name, None, f"{form}; by number, as in livery camera 0. Refused? {permission()}")
    if not found:
        return Finding(name, None, f"{form} finds none; connect one, or {permission()}")
    return Finding(name, True, f"{form}: {', '.join(found)}")


def _data() -> Finding:
    """Whether others of this machine may look into the folder of the sessions."""
    import platformdirs

    folder = platformdirs.user_data_path("livery", appauthor=False)
    name = "data folder"
    if sys.platform == "win32":
        return Finding(name, True, f"{folder}: as private as your profile, in which it lies")
    if folder.is_dir() and folder.stat().st_mode & 0o077:
        return Finding(name, False, f"{folder} is open to other users; chmod 700 {shlex.quote(str(folder))}")
    return Finding(name, True, f"{folder}: for you only")


def _packages() -> str:
    missing = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as exc:
            missing.append(f"{name} ({exc})")
    if missing:
        mend = "run pip install 'livery[cpu]'"
        if any(".so" in each for each in missing):  # a library of the system's, not of Python
            mend = "apt-get install libegl1 libgl1 libgles2 libglib2.0-0 (Debian's names) brings them"
        raise CheckError(f"cannot import {', '.join(missing)}; {mend}")
    return ", ".join(f"{name} {version(name)}" for name in ("aiortc", "av", "mediapipe", "numpy"))


def _landmarks() -> str:
    from skimage import data

    from correspondence import detect_landmarks

    found = detect_landmarks(data.astronaut())
    if found is None:
        raise CheckError("MediaPipe finds no face in scikit-image's astronaut; reinstall it")
    return f"{len(found.points)} points on a sample face"


def _matcher() -> str:
    import numpy as np
    from skimage import data

    from correspondence import Matcher

    matcher = Matcher.load("auto")
    face = data.astronaut()[:256, 96:352]
    match = matcher.match(face, matcher.prepare(face))
    error = float(np.abs(match.field).mean())
    if not error < 1.0:
        raise CheckError(
            f"the {matcher.kind} matcher places a picture {error:.1f} pixels beside itself; reinstall"
        )
    return f"{matcher.kind}, works"


def _codecs() -> str:
    import av

    missing = []
    for name in CODECS:
        try:
            av.Codec(name, "w")
        except ValueError:  # PyAV's UnknownCodecError
            missing.append(name)
    if missing:
        raise CheckError(f"this build of PyAV has no {', '.join(missing)}; install its wheel from PyPI")
    return ", ".join(CODECS)


def _address() -> str:
    from aioice.ice import get_host_addresses

    usable = []
    for address in get_host_addresses(use_ipv4=True, use_ipv6=True):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
        usable.append(address)
    if not usable:
        raise CheckError("this machine has no address but loopback; WebRTC needs another, join a network")
    return f"{len(usable)} usable for media"


def _runtime() -> Finding:
    try:
        import onnxruntime
    except ImportError:
        return Finding(
            "onnxruntime", None, "not installed: only the classical matcher; pip install 'livery[cpu]'"
        )
    return Finding(
        "onnxruntime", True, f"{onnxruntime.__version__}, {', '.join(onnxruntime.get_available_providers())}"
    )


def _optional(package: str, extra: str) -> Finding:
    try:
        return Finding(package, True, version(package))
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            package,
            None,
            f"not installed; extra {extra}" if " " not in extra else f"not installed; extras {extra}",
        )
