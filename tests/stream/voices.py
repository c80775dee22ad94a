"""Tones as Opus packets, tracks that speak them, and what is heard of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

RATE = 48_000
TICK = Fraction(1, RATE)
Voice: TypeAlias = "av.Packet[Stream]"
Wave: TypeAlias = npt.NDArray[np.float64]


def tone(hz: float, samples: int, first: int = 0) -> av.AudioFrame:
    """A sine, s16 mono at 48 kHz; `first` is its first sample's number."""
    wave = 8000 * np.sin(2 * np.pi * hz * (first + np.arange(samples)) / RATE)
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, TICK
    return frame


def opus(hz: float, packets: int, **options: str) -> list[bytes]:
    """A tone as Opus packets, 20 ms each unless the options say otherwise."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.layout, codec.time_base = RATE, "s16", "mono", TICK
    codec.options = options
    codec.open()
    size, made = codec.frame_size, []
    for number in range(packets):
        made += [bytes(packet) for packet in codec.encode(tone(hz, size, number * size))]
    return made


def pitch(samples: Wave) -> float:
    """The strongest frequency, Hz, of samples at 48 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


def decoded(packets: list[bytes]) -> Wave:
    """The left channel of Opus packets, float64 (N,)."""
    codec = av.CodecContext.create("libopus", "r")
    frames = [frame for data in packets for frame in codec.decode(av.Packet(data))]
    planes = [frame.to_ndarray() for frame in frames]
    step = 2 if planes[0].shape[0] == 1 else 1  # interleaved stereo, or planes
    return np.concatenate([plane[0, ::step] for plane in planes]).astype(np.float64)


class Voices(MediaStreamTrack):
    """Speaks Opus packets, one each 20 ms from `begin` ticks on, then repeats them."""

    kind = "audio"

    def __init__(self, packets: list[bytes], begin: int = 0) -> None:
        super().__init__()
        self._packets, self._begin = packets, begin
        self._number, self._start_s = 0, 0.0

    async def recv(self) -> Voice | av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._start_s = self._start_s or time.monotonic()
        await asyncio.sleep(max(self._start_s + 0.02 * self._number - time.monotonic(), 0))
        packet = av.Packet(self._packets[self._number % len(self._packets)])
        packet.pts, packet.time_base = self._begin + 960 * self._number, TICK
        self._number += 1
        return packet


def steps(got: list[Voice]) -> list[int]:
    """Time stamps' differences."""
    stamps = [packet.pts or 0 for packet in got]
    return [after - before for before, after in itertools.pairwise(stamps)]
