"""Records a session for `livery serve --record`: as it was sent, and edited anew.

`live.mp4` holds the pictures that were sent and is playable at every moment. The source is kept beside it in
short pieces, which the fill worker edits anew one by one (see `stream.recording.render`). Finished pieces can
be played as `refined.m3u8` and become `refined.mp4` when the session ends. `livery refine FOLDER` does the
pieces that are left.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from correspondence import Image
from reference import Outfit
from reference.looks.layers import Layer, StickerLayer
from reference.looks.manifest import Entry, Pixels, to_entry
from reference.looks.reading import encode_png
from reference.side_work import step_aside
from stream.filling.types import Worker
from stream.media.probe import MediaError
from stream.recording.config import RecordConfig, size_in
from stream.recording.files import Writer
from stream.recording.folder import write_whole
from stream.recording.pieces import Pieces
from stream.recording.render import FPS, KeyframeFile, RenderJob, save_picture

logger = logging.getLogger(__name__)

MEASURE_S = 1.0  # interval between two measurements of the size
SPARE_BYTES = 300 * 2**20  # space that is left free on the disk
MOST_FILMS = 100  # of one recording; each change of the pictures' size begins another
WAITING = 30  # pictures that may wait for the encoder; further ones are dropped and counted


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """State of a recording.

    Attributes:
        live, source: frames in `live.mp4` and in the source pieces.
        dropped: pictures that were dropped.
        done, waiting, failed: numbers of pieces.
        seconds: length without pauses, seconds.
        bytes: size of the folder as last measured, bytes.
        paused: whether it is paused.
    """

    live: int
    source: int
    dropped: int
    done: int
    waiting: int
    failed: int
    seconds: float
    bytes: int
    paused: bool


@dataclass(frozen=True, slots=True)
class _Pause:
    on: bool
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Worn:
    outfit: Outfit | None
    strength: float
    faces: int = 1


class Recorder:
    """Records one session. All methods but `close` return at once and may be called from any thread.

    Args:
        config: settings.
        name: name of the recording's folder.
        worker: edits the pieces anew.
        clock: returns the time that the pictures' times count in, seconds.

    Raises:
        MediaError: the folder cannot be made.
    """

    def __init__(
        self,
        config: RecordConfig,
        name: str,
        worker: Worker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = config.folder / name
        try:
            config.folder.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(0o700)
        except OSError as exc:
            raise MediaError(f"{self.folder}: cannot be made ({exc.strerror})") from exc
        self._config, self._worker, self._clock = config, worker, clock
        self._start_s = clock()  # start of the recording, moved on by pauses
        self._paused_s: float | None = None  # start of the present pause
        self._pausing = False  # the last wish; `_paused_s` follows when the frames before it are written
        self._length_s = 0.0
        self._bytes = 0
        self._measured_s = 0.0
        self._inbox: queue.SimpleQueue[tuple[str, Image, float] | _Worn | _Pause | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(WAITING)  # for frames alone: a pause or a new outfit always enters
        self._dropped = 0
        self._live: Writer | None = None
        self._piece: _Piece | None = None
        self._worn = _Worn(None, 1.0)
        self._saved: dict[tuple[int, int], KeyframeFile] = {}
        self._pieces = Pieces(self.folder, worker, config.piece_s, config.max_pieces)
        self._counts = {"live": 0, "source": 0}
        self._numbers = 0
        self._broken = ""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def source(self, image: Image, captured_s: float) -> None:
        """Record an arriving frame, uint8 (H, W, 3). It is dropped if the disk or the encoder is too slow."""
        self._put_frame(("source", image, captured_s))

    def live(self, image: Image, captured_s: float) -> None:
        """Record a picture that was sent, uint8 (H, W, 3). It is dropped as in `source`."""
        self._put_frame(("live", image, captured_s))

    def wear(self, outfit: Outfit | None, *, enabled: bool, strength: float, faces: int = 1) -> None:
        """Set what is worn from the next frame on, and by how many people at most."""
        self._inbox.put(_Worn(outfit if enabled else None, strength, faces))

    def pause(self, on: bool) -> None:
        """Pause or go on. No frame that arrives during a pause is kept. The file shows no gap."""
        self._pausing = on
        self._inbox.put(_Pause(on, self._clock()))

    def _put_frame(self, frame: tuple[str, Image, float]) -> None:
        if self._pausing:
            return
        if self._room.acquire(blocking=False):
            self._inbox.put(frame)
        else:
            self._dropped += 1

    def status(self) -> RecordStatus:
        """Return the present state."""
        done, waiting, failed = self._pieces.counts()
        return RecordStatus(
            self._counts["live"], self._counts["source"], self._dropped, done, waiting, failed,
            round(self._length_s, 1), self._bytes, self._pausing,
        )  # fmt: skip

    def describe(self) -> dict[str, object]:
        """Return `status()` as JSON values, and as `error` why the recording ended by itself, else ""."""
        return {**asdict(self.status()), "error": self._broken}

    @property
    def broken(self) -> str:
        """Why the recording ended by itself. Empty while it runs."""
        return self._broken

    def close(self, wait_s: float = 1.5) -> None:
        """End the files. Waiting pieces are edited afterwards, as long as the worker lives."""
        self._inbox.put(None)
        self._thread.join(wait_s)

    def abandon(self) -> None:
        """Edit no more pieces, because the folder is about to be deleted."""
        self._pieces.abandon()

    def _run(self) -> None:
        step_aside()
        while (item := self._inbox.get()) is not None:
            if isinstance(item, tuple):
                self._room.release()
            if self._broken:
                continue
            try:
                self._take(item)
            except Exception as exc:
                # A border: a full disk or a broken encoder must end the recording, never the session.
                self._broken = str(exc) or type(exc).__name__
                known = isinstance(exc, MediaError)
                logger.warning("the recording in %s ends here: %s", self.folder, exc, exc_info=not known)
                self._end()
            del item
        self._end()

    def _end(self) -> None:
        """Close all files, as far as they can be closed."""
        with contextlib.suppress(Exception):
            self._end_piece()
        live, self._live = self._live, None
        with contextlib.suppress(Exception):
            if live is not None:
                live.close()
        self._pieces.finish()
        self._bytes = size_in(self.folder)

    def _take(self, item: tuple[str, Image, float] | _Worn | _Pause) -> None:
        if isinstance(item, _Worn):
            self._end_piece()  # all frames of a piece wear one outfit
            self._worn = item
            return
        if isinstance(item, _Pause):
            self._turn(item)
            return
        if self._paused_s is not None:
            return
        kind, image, captured_s = item
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        time_s = max(0.0, captured_s - self._start_s)
        self._counts[kind] += 1
        self._length_s = max(self._length_s, time_s)
        self._measure()
        if kind == "live":
            self._write_live(image, time_s)
        else:
            self._write_source(image, time_s)

    def _turn(self, pause: _Pause) -> None:
        if pause.on and self._paused_s is None:
            self._end_piece()  # the pause must not be interpolated
            self._paused_s = pause.at_s
        elif not pause.on and self._paused_s is not None:
            self._start_s += pause.at_s - self._paused_s
            self._paused_s = None

    def _measure(self) -> None:
        """Measure the size now and then, and end the recording before a limit or the disk's end is reached.

        Raises:
            MediaError: a limit is reached.
        """
        if time.monotonic() - self._measured_s < MEASURE_S:
            return
        self._measured_s = time.monotonic()
        self._bytes = size_in(self.folder)
        most = self._config.max_mib * 2**20
        if size_in(self._config.folder) > most:
            raise MediaError(
                f"the recording ended: all recordings together reached {self._config.max_mib} MiB; delete "
                "some, or start the server with a larger --record-mib"
            )
        if shutil.disk_usage(self.folder).free < SPARE_BYTES:
            raise MediaError("the recording ended: the disk is nearly full; delete something")

    def _write_live(self, image: Image, time_s: float) -> None:
        size = (image.shape[0], image.shape[1])
        if self._live is None or self._live.size != size:
            if self._live is not None:
                self._live.close()
            if self._numbers == MOST_FILMS:
                raise MediaError(f"the recording ended: its pictures changed their size {MOST_FILMS} times")
            self._numbers += 1
            name = "live.mp4" if self._numbers == 1 else f"live-{self._numbers}.mp4"
            self._live = Writer(self.folder / name, size, preset="superfast")
        self._live.write(image, time_s)

    def _write_source(self, image: Image, time_s: float) -> None:
        piece = self._piece
        size = (image.shape[0], image.shape[1])
        if piece is not None and (time_s - piece.start_s > self._config.piece_s or piece.writer.size != size):
            self._end_piece()
            piece = None
        if piece is None:
            if self._pieces.full:
                return
            path = self.folder / f"piece-{self._pieces.next_number():05d}.source.ts"
            piece = self._piece = _Piece(Writer(path, size, crf=14, preset="ultrafast"), time_s)
        piece.writer.write(image, time_s)
        piece.end_s = time_s

    def _end_piece(self) -> None:
        piece, self._piece = self._piece, None
        if piece is None:
            return
        piece.writer.close()
        worn = self._worn
        name = piece.writer.path.name
        frames = piece.writer.frames
        length_s = max(piece.end_s - piece.start_s, 1e-3)
        job = RenderJob(
            folder=str(self.folder),
            source=name,
            output=name.replace(".source", ""),
            keyframes=self._keyframes(worn.outfit),
            mode=worn.outfit.edit.mode if worn.outfit is not None else "auto",
            strength=worn.strength * (worn.outfit.edit.strength if worn.outfit is not None else 1.0),
            matcher=self._config.matcher,
            faces=worn.faces,
            stickers=self._stickers(worn.outfit),
            mark=self._config.mark,
            fps=min(FPS[1], max(FPS[0], (frames - 1) / length_s)),
        )
        job.write(self.folder / name.replace(".source.ts", ".json"))
        self._pieces.add(job)

    def _stickers(self, outfit: Outfit | None) -> tuple[Entry, ...]:
        """Return the stickers that the head carries, with their pictures as files. Each is saved once."""
        entries = []
        for each in () if outfit is None else outfit.edit.stickers:
            layer = StickerLayer(sticker=each.sticker, rigid=True, strength=each.strength)
            entries.append(to_entry(layer, self._sticker_file))
        return tuple(entries)

    def _sticker_file(self, _: Layer, picture: Pixels) -> str:
        name = f"sticker-{hashlib.sha256(picture.tobytes()).hexdigest()[:16]}.png"
        if not (self.folder / name).exists():
            write_whole(self.folder / name, encode_png(picture))
        return name

    def _keyframes(self, outfit: Outfit | None) -> tuple[KeyframeFile, ...]:
        """Return the outfit's keyframes as files. Each is saved once."""
        if outfit is None:
            return ()
        files = []
        for info in outfit.keyframes():
            key = (info.id, info.version)
            if key not in self._saved:
                stem = f"keyframe-{info.id}-{info.version}"
                save_picture(self.folder / f"{stem}.png", info.image)
                save_picture(self.folder / f"{stem}-edited.png", info.edited)
                self._saved[key] = KeyframeFile(
                    image=f"{stem}.png",
                    edited=f"{stem}-edited.png",
                    made_s=max(0.0, info.made_s - self._start_s),
                )
            files.append(self._saved[key])
        return tuple(files)


@dataclass(slots=True, eq=False)
class _Piece:
    writer: Writer
    start_s: float
    end_s: float = 0.0
