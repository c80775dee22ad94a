"""Refusals as a stranger reads them: what happened, and what to do now."""

from __future__ import annotations

import errno
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stream.cli.main import main
from stream.errors import SignalingError
from stream.media.pictures import encode_png
from stream.media.untrusted import MediaError
from stream.offline.look_clip import read_look
from stream.processes import unwritten
from stream.rtc.offers import parse_fragment, parse_offer
from tests.strangers.test_offers import DTLS, ICE, VP8, offer, sound, video
from tests.stream.clips import Clip, make_clip, painted_frame

WHOLE = "whole; a page sends localDescription.sdp"


@pytest.mark.parametrize(
    ("text", "purpose", "happened", "now"),
    [
        (offer(video("0", VP8, "recvonly")), "publish", "the offer sends no video", "sendonly.*WHEP"),
        (offer(video("0", VP8, "inactive")), "publish", "its video section is inactive", "sendonly"),
        (offer(video("0", VP8, "sendonly")), "view", "the offer receives no video", "recvonly.*WHIP"),
        (offer(video("0", VP8)).replace(ICE, ""), "publish", "no ICE credentials.*no connection", WHOLE),
        (offer(video("0", VP8)).replace(DTLS, ""), "publish", "no DTLS fingerprint.*encrypted", WHOLE),
        (offer(video("0", VP8)).replace("a=setup:actpass\r\n", ""), "publish", "DTLS.*role", WHOLE),
        (
            offer(video("0", VP8)).replace("ufrag:", "ufrag:" + "x" * 300),
            "publish",
            "304 characters",
            "as the",
        ),
        (offer(video("é", VP8)), "publish", "name .a=mid. is not", "as the browser"),
        (
            re.sub("a=group[^\r]*\r\n", "", offer(video("0", VP8), sound("1"))),
            "publish",
            "a connection for each",
            "max-bundle",
        ),
        (
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
            "publish",
            "neither picture nor sound",
            "video",
        ),
        ("hello", "publish", "does not begin with v=0", "the SDP offer alone"),
        (
            offer(video("0", "a=rtpmap:96\r\n")),
            "publish",
            "'a=rtpmap:96' could not be read",
            "as the browser",
        ),
    ],
)
def test_an_offer_is_refused_with_the_way_out(text: str, purpose: str, happened: str, now: str) -> None:
    with pytest.raises(SignalingError) as refused:
        parse_offer(text, "publish" if purpose == "publish" else "view")
    assert re.search(happened, refused.value.text), refused.value.text
    assert re.search(now, refused.value.hint), refused.value.hint


@pytest.mark.parametrize("line", ["a=candidate:1 1 udp", "hello", "a=candidate:x"])
def test_a_fragment_is_refused_with_the_way_out(line: str) -> None:
    with pytest.raises(SignalingError, match=re.escape(line)) as refused:
        parse_fragment(line, "0")
    assert "a=candidate" in refused.value.hint


@pytest.mark.parametrize(
    ("failure", "way"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (PermissionError(errno.EACCES, "Permission denied"), "a folder that you may write to"),
        (OSError(errno.EROFS, "Read-only file system"), "a folder that you may write to"),
        (OSError(errno.EINVAL, "Invalid argument"), "kind of file"),
    ],
)
def test_a_file_that_cannot_be_written_says_what_helps(failure: OSError, way: str) -> None:
    said = unwritten(Path("out.mp4"), failure)
    assert said.startswith(f"out.mp4: cannot be written ({failure.strerror}); ")
    assert way in said


def _archive(manifest: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("manifest.json", manifest)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "happened"),
    [
        (b"hello", "no whole zip archive"),
        (_archive("{}"), "its format is not"),
        (_archive('{"format": "livery-look", "version": 99}'), "a newer Livery made it"),
        (_archive("["), "manifest is damaged"),
    ],
)
def test_a_look_file_is_refused_with_the_way_out(tmp_path: Path, data: bytes, happened: str) -> None:
    path = tmp_path / "evening.livery"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=f"{happened}.*; export it again from Livery"):
        read_look(path)


def test_the_one_of_several_edited_pictures_that_does_not_match_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=2))
    right = painted_frame(clip, 0, tmp_path / "right.png")
    noise = np.random.default_rng(3).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    (tmp_path / "wrong.png").write_bytes(encode_png(noise))
    pictures = ["--edited", f"0={right}", "--edited", f"1={tmp_path / 'wrong.png'}"]
    assert main(["edit", str(clip), *pictures, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "wrong.png: the edited picture (130x150) does not match its reference (320x240)" in said
    assert "save your picture at 320x240" in said
