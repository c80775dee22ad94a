"""Bad pictures, bad faces, bad bodies: each a clear answer, the server lives, neighbours are unharmed."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from collections.abc import AsyncIterator

import aiohttp
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from correspondence import Image, Matcher
from reference import Edit
from reference.keyframes.bank import BankConfig
from reference.keyframes.keyframe import Keyframe
from stream.errors import MOST_TEXT, UploadError
from stream.looks.look import largest_px
from stream.media.pictures import decode_picture, picture_size
from tests.stream.rig import (
    BLUE,
    publishing,
    serving,
    watching,
)

PNG = {"Content-Type": "image/png"}
LIMIT = 40_000_000
NUMBER = b'{"%s":' + b"9" * 5000 + b"}"
LIPSTICK = {"name": "lipstick", "colour": BLUE, "strength": 1}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int = 20_000, height: int = 10_000) -> bytes:
    """A valid PNG of 200 megapixels in some 600 kB: zeros compress a thousandfold."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(picture: Pillow.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def png(image: Image) -> bytes:
    return saved(Pillow.fromarray(image), "PNG")


def test_huge_picture_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    data = huge_png(4000, 12_000)
    with pytest.raises(UploadError, match=r"4000x12000 = 48 megapixels; at most 40") as refused:
        decode_picture(data, LIMIT)
    assert refused.value.status == 413


def second_header(kind: str, width: int, height: int) -> bytes:
    """A picture of 64 x 64 by its first header, of another size by its second."""
    if kind == "PNG":
        small, large = huge_png(64, 64), huge_png(width, height)
        return small[:33] + large[8:]
    small, large = (saved(Pillow.new("RGB", size), "JPEG") for size in ((64, 64), (width, height)))
    at, end = (data.index(b"\xff\xc0") for data in (small, large))
    return large[:end] + small[at : at + 19] + large[end:]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_second_header_does_not_pass_the_limit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: object) -> None:
        raise AssertionError("it was decoded")

    data = second_header(kind, 1500, 1200)
    assert picture_size(data) == (kind, 64, 64)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(UploadError, match="damaged: its header says 64x64, its content 1500x1200"):
        decode_picture(data, 100_000)


def test_a_picture_that_is_longer_than_can_be_worked_on_is_refused() -> None:
    data = cv2.imencode(".png", np.zeros((16, 32_768, 3), np.uint8))[1].tobytes()
    with pytest.raises(UploadError, match="at most 32767 pixels"):
        decode_picture(data, 10**7)


def test_a_jpeg_of_a_thousand_scans_is_refused_by_counting_them() -> None:
    data = saved(Pillow.new("RGB", (64, 64)), "JPEG", progressive=True)
    at = data.index(b"\xff\xda")
    scan = data[at : data.index(b"\xff", at + 12)]
    with pytest.raises(UploadError, match="1000 scans; at most 100"):
        decode_picture(data[:at] + scan * (1000 - data.count(b"\xff\xda")) + data[at:], LIMIT)


async def test_200_megapixels_are_refused_and_the_server_lives() -> None:
    async with serving() as server:
        client = await server.open()
        header = huge_png(20_000, 1)[:16] + struct.pack(">II", 20_000, 10_000) + bytes(1000)
        status, answer = await client.call("POST", "/reference", data=header, headers=PNG)
        assert status == 413
        assert "200 megapixels" in answer["error"]
        assert answer["hint"]
        assert (await client.call("GET"))[0] == 200


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {"lossless": True}), ("WEBP", {})],
)
def test_sizes_are_read_from_headers(kind: str, options: dict[str, object]) -> None:
    data = saved(Pillow.new("RGB", (123, 77), "red"), kind, **options)
    assert picture_size(data) == (kind, 123, 77)
    assert decode_picture(data, LIMIT).image.shape == (77, 123, 3)


def test_extended_webp_with_alpha() -> None:
    data = saved(Pillow.new("RGBA", (123, 77), (255, 0, 0, 128)), "WEBP", lossless=True, exif=b"Exif\0\0")
    assert picture_size(data) == ("WEBP", 123, 77)
    alpha = decode_picture(data, LIMIT).alpha
    assert alpha is not None
    assert (alpha == 128).all()


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 415, "an empty file"),
        (b"hello, this is text", 415, "not a PNG"),
        (b"GIF89a\x01\x00\x01\x00", 415, "a GIF picture"),
        (b"\0\0\0\x18ftypmif1" + bytes(40), 415, "a HEIC picture"),
        (b"8BPS\0\x01" + bytes(40), 415, "a Photoshop document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not a PNG"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", 422, "ends within its header"),
        (b"\xff\xd8\xff\xe0\x00", 422, "ends within its header"),
        (b"RIFF\0\0\0\0WEBPABCD" + bytes(20), 422, "first chunk is not VP8"),
        (saved(Pillow.new("RGB", (8, 300)), "PNG"), 422, "at least 16"),
        (saved(Pillow.effect_noise((200, 200), 90), "PNG")[:3000], 422, "damaged"),
        (saved(Pillow.effect_noise((200, 200), 90), "JPEG")[:3000], 422, "damaged"),
    ],
)
async def test_what_is_no_picture_is_refused(data: bytes, status: int, said: str) -> None:
    async with serving() as server:
        client = await server.open()
        got, answer = await client.call("POST", "/reference", data=data, headers=PNG)
        assert (got, said in answer["error"], bool(answer["hint"])) == (status, True, True), answer


def test_orientation_16_bit_grey_and_palette_are_understood() -> None:
    upright = Pillow.fromarray(np.tile(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (1, 40, 3)))
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    turned = decode_picture(saved(upright, "PNG", exif=exif), LIMIT).image
    assert np.array_equal(turned, np.rot90(np.asarray(upright), -1))

    deep = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (32, 1))
    shown = decode_picture(bytes(cv2.imencode(".png", deep)[1]), LIMIT).image
    assert np.abs(shown[0, :, 0].astype(int) - deep[0] // 257).max() <= 1
    colour = np.full((32, 32, 3), (10 * 257, 100 * 257, 200 * 257), np.uint16)  # BGR
    assert decode_picture(bytes(cv2.imencode(".png", colour)[1]), LIMIT).image[0, 0].tolist() == [
        200,
        100,
        10,
    ]

    palette = Pillow.new("RGB", (32, 32), (12, 200, 90)).quantize(4)
    assert decode_picture(saved(palette, "PNG"), LIMIT).image[5, 5].tolist() == [12, 200, 90]


async def test_wrong_size_edits_are_aligned_or_refused(astronaut: Image) -> None:
    async with serving() as server:
        client = await server.open()
        await client.ok("POST", "/reference", data=png(astronaut), headers=PNG)
        painted = astronaut.copy()
        painted[180:200, 200:250] = (20, 40, 220)
        state = await client.ok("PUT", "/edit", data=png(painted[30:, 20:].copy()), headers=PNG)
        assert state["edit"]["note"], "a shifted crop is found and said so"
        noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
        status, answer = await client.call("PUT", "/edit", data=png(noise), headers=PNG)
        assert status == 422
        assert "400x300" in answer["error"]
        assert answer["hint"]
        assert (await client.ok("GET"))["edit"] == state["edit"], "the edit before is still worn"


async def test_bodies_that_are_too_long_or_no_json() -> None:
    async with serving(upload_bytes=200_000) as server:
        client = await server.open()
        assert (await client.call("POST", "/reference", data=bytes(300_000), headers=PNG))[0] == 413

        async def drip() -> AsyncIterator[bytes]:
            for _ in range(300):
                yield bytes(1000)

        assert (await client.call("POST", "/reference", data=drip(), headers=PNG))[0] == 413
        for body in (b"{", b"\xff\xfe", b"3", b"[" * 60_000, b'{"a":' * 10_000, NUMBER % b"strength"):
            assert (await client.call("PATCH", "/settings", data=body))[0] == 400
        status, answer = await client.call("PATCH", "/settings", data=b'{"mode":"%s"}' % (b"9" * 4000))
        assert status == 400
        assert len(answer["error"]) <= MOST_TEXT
        assert answer["error"].startswith("mode must be one of auto")
        assert (await client.call("PATCH", "/settings", data=b'{"a":"' + bytes(70_000)))[0] == 413


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("hello", "the message is not JSON"),
        ("[" * 15_000, "nested too deeply"),
        ('{"type":"wear","look":' + "9" * 5000 + "}", "too many digits"),
        ('{"type":"wear","look":' + "9" * 4000 + "}", "there is no look 999"),
    ],
)
async def test_nonsense_on_the_socket_is_answered(message: str, said: str) -> None:
    async with serving() as server:
        client = await server.open()
        async with client.events() as socket:
            await socket.send_str(message)
            async with asyncio.timeout(5):
                while (answer := await socket.receive_json())["type"] != "event":
                    pass
            assert said in answer["text"]
            assert len(answer["text"]) <= MOST_TEXT
            await socket.send_str("{}")
            async with asyncio.timeout(5):
                while (answer := await socket.receive_json())["type"] != "event":
                    pass
            assert "messages are JSON objects" in answer["text"], "the socket lives"


@pytest.mark.parametrize("origin", ["http://[::1", "http://evil.example", "null"])
async def test_other_sites_and_no_sites_are_refused(origin: str) -> None:
    async with serving() as server:
        url = f"{server.origin}/api/sessions"
        async with server.http.post(url, headers={"Origin": origin}) as answer:
            assert answer.status == 403


def test_a_damaged_header_is_said_in_words() -> None:
    data = saved(Pillow.new("RGB", (64, 64)), "PNG")
    header = struct.pack(">IIBBBBB", 64, 64, 99, 99, 0, 0, 0)  # no such depth or colour type
    with pytest.raises(UploadError, match="the PNG picture's header is damaged"):
        decode_picture(data[:8] + chunk(b"IHDR", header) + data[33:], LIMIT)


async def test_what_could_not_be_worn_is_refused_as_a_reference(astronaut: Image) -> None:
    async with serving(looks_mib=4) as server:  # 116508 pixels
        client = await server.open()
        big = cv2.resize(astronaut, (360, 324), interpolation=cv2.INTER_AREA)
        status, answer = await client.call("POST", "/reference", data=png(big), headers=PNG)
        assert (status, answer["hint"]) == (413, "scale it down, to 359x323 at most")
        assert "360x324 = 0.1166 megapixels" in answer["error"]
        fits = cv2.resize(astronaut, (359, 323), interpolation=cv2.INTER_AREA)
        await client.ok("POST", "/reference", data=png(fits), headers=PNG)
        assert (await client.ok("POST", "/preset", json=LIPSTICK))["edit"]["preset"] == "lipstick"


@pytest.mark.parametrize("matcher", ["classical", "compact"])
def test_the_largest_reference_fits_the_bank(matcher: str, astronaut: Image) -> None:
    """What a keyframe takes is measured at 4 megapixels and at 1, of which follows what any size takes."""
    taken = []
    for side in (1024, 2048):
        image = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_LINEAR)
        edited = image.copy()
        edited[: side // 4] = 255
        edit = Edit(image, edited)
        prepared = Matcher.load(matcher).prepare(image)
        taken.append(Keyframe(image=image, edited=edited, prepared=prepared, pinned=True, edit=edit).nbytes)
    each = (taken[1] - taken[0]) / (2048**2 - 1024**2)
    whole = taken[0] + each * (largest_px(1024 * 2**20, BankConfig()) - 1024**2)
    assert 0.9 < whole / (BankConfig().max_mib * 2**20) <= 1


@pytest.mark.parametrize("path", ["/whip/x", "/whep/x", "/api/sessions/x", "/api/sessions/x/frame.png"])
async def test_unknown_sessions(path: str) -> None:
    async with serving() as server:
        method = "POST" if path.startswith("/wh") else "GET"
        headers = {"Authorization": "Bearer something", "Content-Type": "application/sdp"}
        async with server.http.request(method, server.origin + path, headers=headers) as answer:
            assert answer.status == 404
            assert "session" in (await answer.json())["error"]


async def test_a_flood_of_nonsense_leaves_a_live_session_alone() -> None:
    async with serving() as server:
        live, other = await server.open(), await server.open()
        async with publishing(live), watching(live) as screen:
            await screen.after(3)
            for body in (b"", b"\0" * 5000, b"v=0", huge_png(3000, 20_000)[:100_000]):
                await other.call("PUT", "/edit", data=body, headers=PNG)
                await other.call("POST", "/reference", data=body, headers=PNG)
                await other.signal("whip", "v=0\r\n" + body[:100].hex())
            async with other.events() as socket:
                await socket.send_str("[" * 10_000)
                await socket.send_bytes(b"\xff\x00")
                await socket.send_str("x" * 20_000)  # over the limit: the socket is closed
                while (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
                    pass
            await screen.after(5)
            assert (await live.ok("GET"))["viewers"] == 1
