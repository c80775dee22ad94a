"""The latency benchmark's arithmetic, and its source; the run itself is marked slow."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks import common, latency
from benchmarks.streams import live, timecode
from benchmarks.streams.runs import Run
from benchmarks.streams.stall import Stall
from correspondence import Image


def test_frames_are_matched_through_the_loop_and_counted_once() -> None:
    codes = [0, 33, 67]
    sent = [(index / 30, codes[index % 3]) for index in range(30)]  # each code ten times
    seen: list[tuple[float, int | None]] = [(at_s + 0.02, code) for at_s, code in sent if at_s != sent[13][0]]
    seen += [(seen[5][0] + 0.001, seen[5][1]), (0.5, None), (0.5, 4711)]
    delays, count, arrived = live.match_frames(sent, sorted(seen, key=lambda one: one[0]), 0.2, 0.8)
    assert count == sum(0.2 <= at_s < 0.8 for at_s, _ in sent)
    assert arrived == count - 1
    assert [delay for _, delay in delays] == pytest.approx([0.02] * arrived)


def test_a_stall_is_summed_up_from_arrivals() -> None:
    before = [(index / 30, 0.03) for index in range(150)]
    after = [(10.0, 5.0), (10.03, 0.3), (10.07, 0.2)] + [(10.1 + index / 30, 0.03) for index in range(60)]
    memory = [(at_s, 100_000_000 + (2_000_000 if at_s > 6 else 0)) for at_s in np.arange(0, 12, 0.25)]
    told = Stall(5.0, before + after, memory).summary()
    assert told["longest_gap_s"] == pytest.approx(10.0 - before[-1][0])
    assert told["back_to_normal_ms"] == pytest.approx(100, abs=1)
    assert told["rss_growth_mb"] == pytest.approx(2.0)


def test_runs_without_a_frame_are_said_to_be_endless() -> None:
    assert Run("x", 1.0).latency()["p95"] == float("inf")


def test_the_source_carries_its_codes_and_begins_with_a_key_frame() -> None:
    clip = live.encode_clip(None, 0.2)
    decoder = av.CodecContext.create("h264", "r")
    codes = []
    for data in clip.packets:
        for frame in decoder.decode(av.Packet(data)):
            assert isinstance(frame, av.VideoFrame)
            assert (frame.height, frame.width) == live.SIZE
            codes.append(live.read_code(frame))
    assert codes == clip.codes == [0, 33, 67, 100, 133, 167]


async def test_the_source_keeps_its_rate_and_says_when_frames_left() -> None:
    track = live.ClipTrack(live.EncodedClip([b"a", b"b"], [0, 33]), fps=100)
    packets = [await asyncio.wait_for(track.recv(), 1) for _ in range(5)]
    assert [packet.pts for packet in packets] == [0, 900, 1800, 2700, 3600]
    assert [code for _, code in track.sent] == [0, 33, 0, 33, 0]
    assert track.sent[4][0] - track.sent[0][0] >= 0.035


def test_pictures_are_widened_without_stretching(astronaut: Image) -> None:
    wide = live.widen(astronaut)
    assert wide.shape == (*live.SIZE, 3)
    assert timecode.read(wide[..., 1]) is None
    middle = wide[:, 280:1000].astype(int)
    assert np.abs(middle[::45, ::45] - astronaut[::32, ::32][:16, :16]).mean() < 12


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="did not start"),
        live.server_process(["-c", "print('nothing here')"], tmp_path / "log"),
    ):
        pass


def measured(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Any:
    monkeypatch.setenv("LIVERY_RESULTS", str(folder))
    monkeypatch.setattr(common, "ROOT", folder)
    monkeypatch.setattr(latency, "LOOP_S", 1.0)
    parser = argparse.ArgumentParser()
    latency.configure(parser)
    assert latency.run(parser.parse_args(["--repeat", "1", "--clip", "demo", *options])) == 0
    return json.loads((folder / "latency.json").read_text())["results"]


def test_a_second_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = measured(
        tmp_path, monkeypatch, "--seconds", "1", "--warm-up", "0", "--no-echo", "--network", "delay=150"
    )
    (row,) = results["best"]
    assert row["server"] == "livery"
    assert row["frames"] > 0
    assert row["latency_ms_p50"] > 300, "150 ms to the server and 150 ms back"


@pytest.mark.slow
def test_the_camera_and_a_busy_neighbour_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam: pip install 'livery[obs]'")
    results = measured(tmp_path, monkeypatch, "--seconds", "3", "--no-echo", "--camera", "--neighbour", "0.5")
    names = [one["server"] for one in results["best"]]
    assert names == ["livery", "livery, neighbour of 0.5", "livery camera"]
    for row in results["best"]:
        assert row["frames"] > 10
        assert 0 < row["latency_ms_p50"] < 2_000
        assert row["cpu"] > 0.05


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = measured(tmp_path, monkeypatch, "--seconds", "5", "--stall")
    echoes = {latency.ECHO, latency.PATCHED_ECHO}
    assert {one["server"] for one in results["best"]} == {"livery", *echoes}
    assert 0.5 < results["stall"]["longest_gap_s"] < 4, "a stage that hangs is bypassed after a second"
    assert (tmp_path / "latency.png").stat().st_size > 5_000
