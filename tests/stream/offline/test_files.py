"""File mode: same frames, times, turn, colours and sound; unedited pixels untouched."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from correspondence import Matcher
from correspondence.types import Image, Landmarks
from reference import Edit, Propagator
from stream.media.demo import DemoSource
from stream.media.encoders import FileEncoderConfig
from stream.media.pictures import encode_png
from stream.media.probe import probe
from stream.media.video import Frame, VideoReader
from stream.offline.editing import edit_frames
from stream.offline.files import edit_file, save_reference
from stream.offline.references import SearchStopped, read_picture
from tests.stream.clips import (
    BLUE,
    CLASSICAL,
    SIZE,
    TICK,
    Clip,
    Held,
    blue,
    check_same_timing,
    follow,
    grown,
    leftovers,
    make_clip,
    paint,
    painted_frame,
    read_back,
)


def shown(held: Held) -> list[Image]:
    """The frames as a player shows them."""
    return [np.ascontiguousarray(np.rot90(image, held.rotation // 90)) for image in held.images]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", Clip(audio="aac"))


@pytest.fixture
def edited(tmp_path: Path, clip: Path) -> Path:
    return painted_frame(clip, 0, tmp_path / "edited.png")


def test_frames_times_and_sound_are_kept(clip: Path, edited: Path, tmp_path: Path) -> None:
    report = edit_file(clip, edited, tmp_path / "out.mp4", CLASSICAL)
    before, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.sound == before.sound
    assert len(after.sound) > 10
    assert report.frames == report.edited == len(after.times) == 12
    assert report.notes == []
    assert all(blue(image) > 40 for image in after.images)
    assert all(blue(image) == 0 for image in before.images)


def test_pixels_away_from_the_paint_are_untouched(clip: Path, edited: Path) -> None:
    source, matcher = DemoSource(SIZE, fps=25), Matcher.load("classical")
    info = probe(clip)
    with VideoReader(info) as reader:
        frames = list(reader.frames())
    reference, changed = frames[6].image, paint(frames[6].image)  # frames before the reference are edited too
    mask = (reference != changed).any(axis=2).astype(np.uint8)
    propagator = Propagator(Edit(reference, changed), matcher)
    pairs = list(edit_frames(frames, propagator))
    propagator.close()
    assert [frame.index for frame, _ in pairs] == list(range(12))
    for frame, result in pairs:
        field = source.field_truth(frame.index, 6)
        moved = follow(mask, field)
        different = (result.image != frame.image).any(axis=2)
        assert not different[grown(moved) == 0].any()
        assert different[moved > 0].mean() > 0.6


def test_variable_frame_rate_with_b_frames(tmp_path: Path) -> None:
    pts = (0, 512, 600, 1536, 1537, 4000, 9000, 9100, 20000, 20512)
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=10, pts=pts, b_frames=3))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.mp4", CLASSICAL)
    _, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.times == [p * TICK for p in pts]


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    pts = tuple(6400 + 512 * k for k in range(6))
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=6, pts=pts, audio="aac"))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.mp4", CLASSICAL)
    before, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.times[0] == Fraction(1, 2)
    assert after.sound == before.sound


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_clip_is_edited_upright_and_stays_turned(tmp_path: Path, rotation: int) -> None:
    upright = make_clip(tmp_path / "upright.mkv", Clip(frames=4, codec="ffv1"))
    turned = turn_file(upright, tmp_path / "turned.mp4", rotation)
    picture = painted_frame(turned, 0, tmp_path / "edited.png")
    assert read_picture(picture).image.shape == (*SIZE, 3)
    report = edit_file(turned, picture, tmp_path / "out.mp4", CLASSICAL)
    before, after = check_same_timing(turned, tmp_path / "out.mp4")
    assert report.size == SIZE
    assert abs(after.rotation) == abs(rotation)
    for mine, theirs in zip(shown(after), shown(before), strict=True):
        assert blue(mine) > 40
        assert mine.shape == (*SIZE, 3)
        assert np.abs(mine.astype(float) - theirs).mean() < 4


def turn_file(source: Path, target: Path, degrees: int) -> Path:
    """Store the clip turned, with the flag that shows it upright."""
    frames = read_back(source).images
    stored = [np.ascontiguousarray(np.rot90(frame, -degrees // 90)) for frame in frames]
    height, width = stored[0].shape[:2]
    turned = Clip(frames=4, size=(height, width), rotation=(degrees, False), images=tuple(stored))
    return make_clip(target, turned)


def test_a_mirrored_clip_stays_mirrored(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3, rotation=(0, True)))
    info = probe(clip)
    assert info.orientation.flip_x
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.mp4", CLASSICAL)
    assert probe(tmp_path / "out.mp4").display_matrix == info.display_matrix
    painted = read_picture(picture).image
    place = np.argwhere(np.abs(painted.astype(int) - BLUE).max(axis=2) < 20)[:, 1].mean()
    with VideoReader(probe(tmp_path / "out.mp4")) as reader:
        first = next(reader.frames()).image
    found = np.argwhere(np.abs(first.astype(int) - BLUE).max(axis=2) < 60)[:, 1].mean()
    assert found == pytest.approx(place, abs=3)


@pytest.mark.parametrize("colour", [(1, 2), (1, 1), (6, 2), (6, 1)])
def test_colour_tags_are_kept_and_honoured(tmp_path: Path, colour: tuple[int, int]) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3, colour=colour, options={"crf": "8"}))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    config = replace(CLASSICAL, encoder=FileEncoderConfig(crf=8))
    edit_file(clip, picture, tmp_path / "out.mp4", config)
    before, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.colour == before.colour
    assert after.colour[:2] == colour
    for mine, theirs in zip(after.images, before.images, strict=True):
        away = grown((np.abs(mine.astype(int) - theirs).max(axis=2) > 40).astype(np.uint8)) == 0
        shift = (mine.astype(float) - theirs)[away].mean(axis=0)
        assert np.abs(shift).max() < 0.7
    with VideoReader(probe(tmp_path / "out.mp4")) as reader:
        inside = cv2.erode(
            (np.array(read_picture(picture).image) == BLUE).all(axis=2).astype(np.uint8), np.ones((5, 5))
        )
        worn = next(reader.frames()).image[inside > 0].mean(axis=0)
    assert np.abs(worn - BLUE).max() < 12  # the paint means the same colour on the way out


def test_untagged_colours_stay_untagged(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3))
    edit_file(clip, painted_frame(clip, 0, tmp_path / "edited.png"), tmp_path / "out.mp4", CLASSICAL)
    before, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.colour == before.colour


def test_an_odd_size_is_neither_cropped_nor_padded(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", Clip(frames=3, size=(241, 321), codec="ffv1"))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.mp4", CLASSICAL)
    _, after = check_same_timing(clip, tmp_path / "out.mp4")
    assert after.size == (241, 321)
    assert after.pixel_format == "yuv444p"


def test_webm_takes_webm_sound_and_mp4_sound_is_converted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.webm", Clip(frames=4, codec="libvpx", audio="libopus", size=(120, 160)))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.webm", CLASSICAL)
    before, after = check_same_timing(clip, tmp_path / "out.webm")
    assert [content for _, content in after.sound] == [content for _, content in before.sound]
    other = make_clip(tmp_path / "in.mp4", Clip(frames=3, audio="aac", size=(120, 160)))
    report = edit_file(other, picture, tmp_path / "other.webm", CLASSICAL)
    assert any("(aac) is converted to Opus: .webm cannot hold it" in note for note in report.notes)
    assert len(read_back(tmp_path / "other.webm").sound) > 3
    assert leftovers(tmp_path) == []


def test_side_by_side_shows_both_upright(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=3))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    edit_file(clip, picture, tmp_path / "out.mp4", replace(CLASSICAL, side_by_side=True))
    after = read_back(tmp_path / "out.mp4")
    assert after.times == read_back(clip).times
    assert after.size == (SIZE[0], 2 * SIZE[1])
    left, right = after.images[1][:, : SIZE[1]], after.images[1][:, SIZE[1] :]
    assert blue(left) == 0
    assert blue(right) > 40


def test_stopping_leaves_a_playable_file_of_what_was_done(clip: Path, edited: Path, tmp_path: Path) -> None:
    asked = itertools.count()
    report = edit_file(clip, edited, tmp_path / "out.mp4", CLASSICAL, stop=lambda: next(asked) > 20)
    before, after = read_back(clip), read_back(tmp_path / "out.mp4")
    assert not report.complete
    assert 0 < report.frames < 12
    assert after.times == before.times[: report.frames]
    assert after.sound == before.sound[: len(after.sound)]
    assert after.sound[-1][0] <= after.times[-1] + Fraction(1, 10)


def test_stopping_before_the_first_frame_writes_nothing(clip: Path, edited: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchStopped):
        edit_file(clip, edited, tmp_path / "out.mp4", CLASSICAL, stop=lambda: True)
    assert not (tmp_path / "out.mp4").exists()
    assert leftovers(tmp_path) == []


def test_the_report_holds_every_frame(clip: Path, edited: Path, tmp_path: Path) -> None:
    report = edit_file(clip, edited, tmp_path / "out.mp4", replace(CLASSICAL, confidence=True))
    report.write(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["frames"] == read["edited"] == 12
    assert read["reference"] == 0
    assert [frame["index"] for frame in read["per_frame"]] == list(range(12))
    assert all(0 < frame["coverage"] <= 1 and 0 < frame["confidence"] <= 1 for frame in read["per_frame"])
    assert read["per_frame"][5]["time_s"] == pytest.approx(0.2)
    assert {"decode", "landmarks", "match", "composite", "encode"} <= read["timings_ms"].keys()
    assert read["versions"]["av"]
    assert read["matcher"] == "classical"


def test_a_face_that_is_missing_passes_through_with_the_reason(
    tmp_path: Path, clip: Path, edited: Path
) -> None:
    blank = make_clip(tmp_path / "blank.mp4", Clip(frames=4, blank=True))
    with VideoReader(probe(clip)) as reader:
        (tmp_path / "ref.png").write_bytes(encode_png(next(reader.frames()).image))
    config = replace(CLASSICAL, reference=tmp_path / "ref.png")
    report = edit_file(blank, edited, tmp_path / "out.mp4", config)
    assert {frame.reason for frame in report.per_frame} == {"no face found"}
    assert report.reference == str(tmp_path / "ref.png")
    assert "4 frames passed through unedited: no face found" in report.summary()


def test_a_failing_stage_passes_the_frame_through(caplog: pytest.LogCaptureFixture) -> None:
    def broken(image: Image, now_s: float) -> Landmarks | None:
        raise RuntimeError("lost")

    image = DemoSource(SIZE).frame(0)
    propagator = Propagator(Edit(image, paint(image)), Matcher.load("classical"), tracker=broken)
    frames = [Frame(k, image, k, 1, float(k)) for k in range(3)]
    results = [result for _, result in edit_frames(frames, propagator)]
    assert all(result.image is image for result in results)
    assert {result.reason for result in results} == {"the landmarks stage failed"}
    assert len([record for record in caplog.records if record.name == "stream.offline.editing"]) == 1


def test_a_larger_picture_is_brought_to_size_and_said_so(clip: Path, edited: Path, tmp_path: Path) -> None:
    image = read_picture(edited).image
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (tmp_path / "large.png").write_bytes(encode_png(large))
    report = edit_file(clip, tmp_path / "large.png", tmp_path / "out.mp4", CLASSICAL)
    assert report.alignment is not None
    assert "640x480" in report.alignment
    assert report.alignment in report.summary()
    assert blue(read_back(tmp_path / "out.mp4").images[5]) > 40


def test_a_layer_of_paint_alone_will_do(clip: Path, edited: Path, tmp_path: Path) -> None:
    image = read_picture(edited).image
    opaque = (image == BLUE).all(axis=2).astype(np.uint8) * 255
    layer = np.dstack([image[..., ::-1] * (opaque[..., None] > 0), opaque])
    cv2.imwrite(str(tmp_path / "layer.png"), layer)
    edit_file(clip, tmp_path / "layer.png", tmp_path / "out.mp4", CLASSICAL)
    after = read_back(tmp_path / "out.mp4")
    assert all(blue(frame) > 40 for frame in after.images)


def test_an_unchanged_picture_changes_nothing_and_says_so(clip: Path, tmp_path: Path) -> None:
    save_reference(clip, tmp_path / "ref.png")
    report = edit_file(clip, tmp_path / "ref.png", tmp_path / "out.mp4", replace(CLASSICAL, reference="auto"))
    assert report.edited == 0
    assert any("nothing changes" in note for note in report.notes)
