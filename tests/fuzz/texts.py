"""Targets that take texts and files: SDP, socket messages, uploads, recordings' descriptions, clips."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidStateError, OperationError
from PIL import Image as Pillow

from reference import EditError, Look, look_file, read_look_file
from stream.errors import SignalingError, UploadError
from stream.events import _receive
from stream.http.api import PageControl
from stream.looks.look import Settings
from stream.media.pictures import decode_picture
from stream.media.probe import MediaError, probe
from stream.media.video import VideoReader
from stream.recording.render import RenderJob
from stream.rtc.ice import peer_configuration
from stream.rtc.offers import UNREADABLE, parse_fragment, parse_offer
from tests.fuzz.packets import loop

MAX_PIXELS = 250_000  # of a fuzzed picture
EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0"
LISTS = (
    b"ffconcat version 1.0\nfile seed.mp4\n",
    b"#EXTM3U\n#EXTINF:1,\nseed.ts\n",
    b"<MPD></MPD>",
    b"v=0\n",
)
MAX_FRAMES = 30  # read of a fuzzed clip


@cache
def folder() -> Path:
    """Where cases that are files are put; in memory where the system has such a place."""
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None
    return Path(tempfile.mkdtemp(prefix="livery-fuzz-", dir=place))


async def _offers() -> list[str]:
    made = []
    for directions in (("recvonly",), ("sendonly", "sendonly"), ("recvonly", "recvonly")):
        peer = RTCPeerConnection(peer_configuration())
        for kind, direction in zip(("video", "audio"), directions, strict=False):
            peer.addTransceiver(kind, direction=direction)
        await peer.setLocalDescription(await peer.createOffer())
        made.append(peer.localDescription.sdp)
        await peer.close()
    return made


@cache
def offers() -> list[str]:
    """Offers as peers make them."""
    return loop().run_until_complete(_offers())


def run_offer(data: bytes) -> None:
    """An offer to publish and to watch; what is taken is given to a connection."""
    text = data.decode(errors="replace")
    for purpose in ("publish", "view"):
        try:
            offer = parse_offer(text, purpose)
        except SignalingError:
            continue
        assert len(offer.candidates) <= 100
        loop().run_until_complete(_applied(offer.sdp))


async def _applied(sdp: str) -> None:
    peer = RTCPeerConnection(peer_configuration())
    try:  # what `Peer.answer` answers as an offer that cannot be answered
        await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
    except (*UNREADABLE, InvalidStateError, InternalError, OperationError):
        pass
    finally:
        await peer.close()


def fragments() -> list[str]:
    """Trickled candidates."""
    candidates = [line for text in offers() for line in text.splitlines() if "candidate:" in line]
    usual = [
        "a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 22, "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 9",
        "a=end-of-candidates",
        "a=candidate:1 1 udp 1 livery.example 5000 typ host",
    ]  # fmt: skip
    return ["\r\n".join([*usual, *candidates]), "\r\n".join(usual[3:])]


def run_fragment(data: bytes) -> None:
    """A fragment."""
    try:
        parse_fragment(data.decode(errors="replace"), "0")
    except SignalingError:
        return


CONTROL = (
    b'{"type": "settings", "strength": 0.5, "mode": "auto", "enabled": true, "overlay": "none"}',
    b'{"type": "wear", "look": 1}',
    b'{"type": "compare", "on": true}',
    b'{"type": "settings", "strength": 1e308}',
    b"[[[[]]]]",
    b"{}",
)


class _Wardrobe:
    """What `PageControl` needs of a wardrobe."""

    def __init__(self) -> None:
        self.settings = Settings()

    async def change(self, settings: Settings) -> None:
        self.settings = settings

    def wear(self, look: int) -> None: ...


class _Session:
    """What `PageControl` needs of a session."""

    def __init__(self) -> None:
        self.wardrobe = _Wardrobe()
        self.live = SimpleNamespace(compare=lambda holding: None)

    def check(self, token: str, right: str) -> None: ...

    def changed(self) -> None: ...


@cache
def control() -> Any:
    """One page's socket."""
    return PageControl(_Session(), "")  # type: ignore[arg-type]


def run_control(data: bytes) -> None:
    """A message of a page; the answer is short and JSON."""
    answer = loop().run_until_complete(_receive(data.decode(errors="replace"), control()))
    assert answer is None or len(json.dumps(answer)) < 2000


@cache
def pictures() -> list[bytes]:
    """Uploads of each kind."""
    found = []
    noise = Pillow.effect_noise((40, 30), 60)
    for kind, mode, more in (
        ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "I;16", {}), ("PNG", "1", {}),
        ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "CMYK", {}), ("JPEG", "L", {}),
        ("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}), ("WEBP", "RGB", {"exif": EXIF}),
    ):  # fmt: skip
        out = io.BytesIO()
        picture = (
            Pillow.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)) if mode == "I;16" else noise
        )
        (picture if mode == "I;16" else picture.convert(mode)).save(out, kind, **more)
        found.append(out.getvalue())
    return found


def run_picture(data: bytes) -> None:
    """An upload; what is taken is no larger than it may be."""
    try:
        picture = decode_picture(data, MAX_PIXELS)
    except UploadError:
        return
    assert picture.image.shape[0] * picture.image.shape[1] <= MAX_PIXELS
    assert picture.image.dtype == np.uint8


def look_files() -> list[bytes]:
    """Look files: packed and plain, and a manifest alone."""
    still = np.asarray(Pillow.effect_noise((40, 30), 60).convert("RGB"))
    edited, rgba = still[::-1].copy(), np.dstack([still, still[..., 0]])
    whole = look_file([Look(still, None).preset("warm").paint(rgba, 0.5).picture(edited)])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    found = [whole]
    for names in (tuple(entries), ("manifest.json",)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, entries[name])
        found.append(out.getvalue())
    return found


def run_look_file(data: bytes) -> None:
    """A look file; what is taken has layers of its still's size."""
    try:
        looks = read_look_file(data)
    except EditError:
        return
    for look in looks:
        for layer in look.layers:
            assert layer.pixels is None or layer.pixels.shape[:2] == look.still.shape[:2]


def journals() -> list[bytes]:
    """Descriptions of pieces."""
    keyframe = {"image": "keyframe-1-1.png", "edited": "keyframe-1-1-edited.png", "made_s": 1.5}
    held = {
        "folder": "/elsewhere", "source": "piece-00001.source.ts", "output": "piece-00001.ts", "mode": "auto",
        "keyframes": [keyframe, keyframe], "strength": 1.0, "matcher": "auto", "fps": 25.0,
    }  # fmt: skip
    return [json.dumps(held).encode(), json.dumps(held | {"keyframes": []}, indent=1).encode()]


def run_journal(data: bytes) -> None:
    """A description of a piece; what is taken names files inside and numbers in their ranges."""
    path = folder() / "piece-00001.json"
    path.write_bytes(data)
    try:
        job = RenderJob.read(path)
    except MediaError:
        return
    names = [job.source, job.output, *(name for k in job.keyframes for name in (k.image, k.edited))]
    assert all(Path(name).name == name and not name.startswith(".") for name in names)
    assert 1 <= job.fps <= 120
    assert 0 <= job.strength <= 1


@cache
def clips() -> list[bytes]:
    """Small clips in containers that people use; the first byte says which."""
    found = []
    for number, (suffix, codec) in enumerate(CONTAINERS):
        path = folder() / f"seed{suffix}"
        with av.open(str(path), "w") as out:
            stream: Any = out.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = (
                64,
                48,
                "yuvj420p" if codec == "mjpeg" else "yuv420p",
            )
            for n in range(4):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50 * n, np.uint8))))
            out.mux(stream.encode(None))
        found.append(bytes([number]) + path.read_bytes())
    lists = (
        b"ffconcat version 1.0\nfile seed.mp4\n",
        b"#EXTM3U\n#EXTINF:1,\nseed.ts\n",
        b"<MPD></MPD>",
        b"v=0\n",
    )
    return [*found, *(bytes([0]) + text for text in lists)]


CONTAINERS = (
    (".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx"), (".ts", "libx264"), (".avi", "mpeg4"),
    (".mov", "mjpeg"), (".flv", "libx264"), (".mpg", "mpeg2video"), (".wmv", "wmv2"),
)  # fmt: skip


def run_clip(data: bytes) -> None:
    """A clip through probe and reader."""
    suffix = CONTAINERS[data[0] % len(CONTAINERS)][0] if data else ".mp4"
    path = folder() / f"case{suffix}"
    path.write_bytes(data[1:])
    try:
        with VideoReader(probe(path)) as reader:
            for number, frame in enumerate(reader.frames()):
                assert frame.image.dtype == np.uint8
                if number >= MAX_FRAMES:
                    break
    except MediaError:
        return


def close() -> None:
    """Remove what the cases left."""
    import shutil

    shutil.rmtree(folder(), ignore_errors=True)
    folder.cache_clear()
