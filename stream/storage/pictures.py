"""The pictures of one session on disk: PNG files named by a hash of their content."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

from correspondence import Image
from stream.storage.disk import PART, make_folder, write_file
from stream.storage.errors import DamagedError, StorageError

SUFFIX = ".png"
ROW_COPY = "row.json"  # lies beside the pictures
NAME_LENGTH = 40  # hexadecimal digits of the SHA-256 of the file, its name
FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class PictureFolder:
    """Writes and reads pictures by name. The name is a hash of the file, so that changed files are noticed.

    Args:
        path: the folder; made with the first picture.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, image: Image) -> str:
        """Write a picture, uint8 (H, W, 3 or 4), to disk. Returns its name.

        Raises:
            OSError: it cannot be written.
        """
        to_bgr = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        done, data = cv2.imencode(SUFFIX, cv2.cvtColor(image, to_bgr), FAST)
        if not done:
            raise StorageError(f"a picture of {image.shape[1]} x {image.shape[0]} could not be encoded")
        encoded = data.tobytes()
        name = hashlib.sha256(encoded).hexdigest()[:NAME_LENGTH]
        path = self._path(name)
        if not path.is_file() or path.stat().st_size != len(encoded):
            make_folder(self.path)
            write_file(path, encoded)
        return name

    def read(self, name: str) -> Image:
        """Read a picture, uint8 (H, W, 3), or (H, W, 4) if it was written with alpha.

        Raises:
            DamagedError: it is missing or its content has changed.
            StorageError: the disk cannot read it.
        """
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError:
            raise DamagedError("its picture is missing") from None
        except OSError as exc:
            raise StorageError(f"a picture cannot be read ({exc.strerror})") from exc
        image = None
        if hashlib.sha256(data).hexdigest()[:NAME_LENGTH] == name:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] not in (3, 4):
            raise DamagedError("its picture is damaged")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)

    def size(self, name: str) -> int:
        """Return the size of a picture, bytes."""
        return self._path(name).stat().st_size

    def keep_only(self, names: Collection[str]) -> None:
        """Delete all other pictures and files that were only half written."""
        for path in self.path.iterdir():
            stale = path.suffix == SUFFIX and path.stem not in names
            if stale or path.suffix == PART:
                path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the store's files in the folder, and the folder if nothing else is in it."""
        if not self.path.is_dir():
            return
        for path in self.path.iterdir():
            if path.name == ROW_COPY or path.suffix in (SUFFIX, PART):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a file of somebody else's
            self.path.rmdir()

    def _path(self, name: str) -> Path:
        if len(name) != NAME_LENGTH or not set(name) <= set("0123456789abcdef"):
            raise DamagedError("its picture's name is damaged")
        return self.path / f"{name}{SUFFIX}"
