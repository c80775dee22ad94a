"""Cases for the fuzz targets: known inputs of a corpus, changed a little or a lot.

A case is made from a `Random`. The long run seeds one of Python's; the short run takes hypothesis's, which
makes a case that fails smaller but costs 9 ms a case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

ODD = (  # what parsers stumble over, as bytes
    *(b"", b"\0", b"\xff", b"\xff" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xed\xa0\x80"),
    *(b"-1", b"0", b"4294967296", b"9" * 40, b"1e308", b"NaN", b"%s%n", b"../" * 3, b"\r\n", b"\n", b" "),
    *(b":", b"=", b";", b"/", b"*", b"[", b"{", b'"', b"null", b"true", b"\xe2\x80\xa8", b"\x0b", b"\x1c"),
)
CHANGES = ("set", "flip", "cut", "repeat", "insert", "copy")
Change = tuple[str, int, int, bytes]
Cases = Callable[[Random], bytes]


def changed(seed: bytes, changes: Sequence[Change], most: int) -> bytes:
    """A seed with changes applied one after the other, at most `most` bytes long."""
    data = bytearray(seed)
    for kind, place, length, put in changes:
        at = place % (len(data) + 1)
        end = min(at + length % 257, len(data))
        if kind == "set":
            data[at : at + len(put)] = put
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << length % 8
        elif kind == "cut":
            del data[at:end]
        elif kind == "repeat":
            data[at:at] = data[at:end] * (1 + length % 40)
        elif kind == "insert":
            data[at:at] = put
        elif kind == "copy":
            to = length * 31 % (len(data) + 1)
            data[to:to] = data[at:end]
        del data[most:]
    return bytes(data)


def mutated(corpus: Sequence[bytes], most: int = 100_000) -> Cases:
    """Inputs near those of a corpus, and now and then any bytes at all."""
    seeds = list(corpus)

    def change(random: Random) -> Change:
        put = random.choice(ODD) if random.random() < 0.5 else any_bytes(random, 12)
        return random.choice(CHANGES), random.randint(0, 1 << 20), random.randint(0, 1 << 16), put

    def case(random: Random) -> bytes:
        if random.random() < 0.25:
            return any_bytes(random, 300)
        return changed(random.choice(seeds), [change(random) for _ in range(random.randint(0, 8))], most)

    return case


def any_bytes(random: Random, most: int) -> bytes:
    """At most that many bytes."""
    return bytes(random.choices(range(256), k=random.randint(0, most)))


def lines_of(corpus: Sequence[str]) -> Cases:
    """Texts whose lines are taken from a corpus, in another order, doubled, dropped, some of them changed."""
    known = sorted({line for text in corpus for line in text.splitlines()})
    lines = [each.encode() for each in known]
    wholes = [[each.encode() for each in text.splitlines()] for text in corpus]
    odd_line, odd_text = mutated(lines, 400), mutated([text.encode() for text in corpus])

    def case(random: Random) -> bytes:
        if random.random() < 0.5:
            return odd_text(random)
        gone = {random.randint(0, 60) for _ in range(random.randint(0, 6))}
        text = [each for n, each in enumerate(random.choice(wholes)) if n not in gone]
        for _ in range(random.randint(0, 12)):
            line = random.choice(lines) if random.random() < 0.5 else odd_line(random)
            text.insert(random.randint(0, len(text)), line)
        return b"\r\n".join([*text, b""])

    return case
