"""What schemathesis cannot make up by itself: pictures, and text that can be printed."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies

from reference import Look, look_file
from stream.http.look_files import TYPE as LOOK_FILE
from stream.media.demo import DemoSource
from stream.media.pictures import encode_png

PICTURES = [encode_png(DemoSource(size).frame(0)) for size in ((180, 320), (360, 640))]
LOOKS = [look_file([Look(DemoSource((180, 320)).frame(0)).preset("lipstick")])]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 .,-_()éßñ漢字"

schemathesis.openapi.media_type("image/png", strategies.sampled_from(PICTURES))
schemathesis.openapi.media_type(LOOK_FILE, strategies.sampled_from(LOOKS))
schemathesis.openapi.format(
    "printable", strategies.text(LETTERS, min_size=1, max_size=40).filter(lambda text: text.strip() != "")
)


@schemathesis.serializer(LOOK_FILE)
def as_it_is(context: Any, value: bytes) -> bytes:
    """Send the bytes of a look file."""
    return value
