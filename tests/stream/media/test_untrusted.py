"""Media files that strangers made: nothing but the named file is opened, and a frame's size is bounded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream.cli.main import main
from stream.colour.samples import UNSPECIFIED
from stream.media.probe import MediaError, probe
from stream.media.survey import SLOWEST
from stream.media.untrusted import MAX_STREAMS, open_input
from stream.media.video import VideoReader
from stream.offline.files import save_reference
from stream.recording.files import read_piece
from tests.stream.clips import Clip, make_clip

CONCAT = "ffconcat version 1.0\nfile {}\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n{}\n#EXT-X-ENDLIST\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n"
DASH = '<?xml version="1.0"?><MPD><Period><BaseURL>{}</BaseURL></Period></MPD>'


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A neighbour that nobody named."""
    return make_clip(tmp_path / "secret.mp4", Clip(frames=4))


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("list.mp4", CONCAT, "an ffconcat list"),
        ("list.mov", "\n" + CONCAT, "an ffconcat list"),
        ("list.m3u8", HLS, "an HLS playlist"),
        ("list.mpd", DASH, "a text in XML"),
        ("list.sdp", SDP, "a session description"),
    ],
)
def test_a_list_of_files_opens_none_of_them(
    tmp_path: Path, secret: Path, name: str, text: str, what: str
) -> None:
    (tmp_path / name).write_text(text.format(secret.name))
    with pytest.raises(MediaError, match=f"{name}: is {what}.*not opened. Name the video file itself"):
        probe(tmp_path / name)


def test_the_verbs_refuse_it_before_the_work(
    tmp_path: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.mp4").write_text(CONCAT.format(secret.name))
    assert main(["reference", str(tmp_path / "in.mp4"), "-o", str(tmp_path / "out.png"), "--at", "0"]) == 2
    assert "an ffconcat list" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_a_piece_of_a_recording_is_a_transport_stream_and_nothing_else(tmp_path: Path, secret: Path) -> None:
    piece = tmp_path / "piece-00001.source.ts"
    piece.write_text(CONCAT.format(secret.name))
    with pytest.raises(MediaError, match="an ffconcat list"):
        read_piece(piece)


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "in.mp4", Clip(frames=3)).rename(tmp_path / "http:clip.mp4")
    monkeypatch.chdir(tmp_path)
    reference = save_reference(Path("http:clip.mp4"), Path("out.png"), 0)
    assert reference.index == 0


def test_a_frame_larger_than_the_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=2))
    with pytest.raises(MediaError, match=r"megapixels; at most .* are taken: scale the video down"):
        open_input(clip, max_pixels=1000)


def test_more_streams_than_anybody_needs_are_not_read(tmp_path: Path) -> None:
    """A transport stream may announce thousands; their tables alone would take the memory."""
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("mpeg4", rate=25) for _ in range(80)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for stream in streams:
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
    with open_input(path) as container:
        assert len(container.streams) <= MAX_STREAMS


def test_a_file_whose_packets_belong_to_no_stream_is_refused(tmp_path: Path) -> None:
    """FFmpeg numbers a packet's stream beyond those that PyAV knows; found by the fuzzer."""
    path = tmp_path / "clip.flv"
    path.write_bytes(
        b"FLV\x01\x01\x00\x00\x00\t\x00\x00\x00\x00\x00\x00\x00d\xce\xb8Q\x00\x00\tframe\t\x00\x00\x11\x00\x00x"
        b"\x00\x00\x00\x00'\x01\x00\x00(\x00\x00\x00\x08\x01\x9ebjB\xbf\x14\xb0\x00\x00\x00\x1c\t\x00\x00\x05"
        b"\x00\x00x\x00\x00\x00\x00\x17\x02\x00\x00\x00\x00\x00\x00\x10rate\x00@9\x00\x00\x00\x00\x00\x00\x00"
        b"\x0cvideocodecid\x00@\x1c\x00\x00\x00\x00\x00\x00\x00\x07encoder\x02\x00\r"
    )
    with pytest.raises(MediaError, match="decoded"):
        probe(path)


def test_pictures_an_hour_apart_have_a_rate(tmp_path: Path) -> None:
    """The rate of three pictures of a time lapse was 0, by which the reader divided."""
    path = tmp_path / "lapse.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 64
        for hour in range(3):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = 3600 * hour, Fraction(1)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = probe(path)
    assert info.rate == SLOWEST
    with VideoReader(info) as reader:
        assert [frame.time_s for frame in reader.frames()] == [0, 3600, 7200]


def test_reserved_colour_tags_say_nothing(tmp_path: Path) -> None:
    """FFmpeg's scaler converts no frame whose matrix is a reserved code; found by the fuzzer."""
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg2video", rate=25)
        stream.width = stream.height = 64
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        packets = [*stream.encode(frame.reformat(format="yuv420p")), *stream.encode(None)]
        for packet in packets:
            out.mux(packet)
    data = path.read_bytes()
    tags = data.index(b"\x00\x00\x01\xb5\x2b\x01\x01\x01")  # sequence display extension: three codes
    path.write_bytes(data[: tags + 5] + b"\x31\x8f\xff" + data[tags + 8 :])
    info = probe(path)
    assert (info.colour.primaries, info.colour.transfer, info.colour.matrix) == (UNSPECIFIED,) * 3
    with VideoReader(info) as reader:
        (shown,) = reader.frames()
    assert np.abs(shown.image.astype(int) - 90).max() <= 3
