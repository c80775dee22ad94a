"""Limits by address, on a clock that only the test moves."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from stream.config import ServerConfig
from stream.errors import TooManyError
from stream.http import limits
from stream.http.base import LIMITS
from stream.http.limits import Buckets, Limits
from tests.stream.rig import Server, serving


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUESS_S", 0.01)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_empties_and_fills_with_time() -> None:
    clock = Clock()
    buckets = Buckets(30, clock)
    for _ in range(30):
        assert buckets.wait_s("a") == 0
        buckets.take("a")
    assert buckets.wait_s("a") == pytest.approx(2.0)
    assert buckets.wait_s("b") == 0, "another's is its own"
    clock.now_s += 1.5
    assert buckets.wait_s("a") == pytest.approx(0.5)
    clock.now_s += 0.5
    assert buckets.wait_s("a") == 0
    buckets.take("a")
    assert buckets.wait_s("a") == pytest.approx(2.0)
    clock.now_s += 3600
    for _ in range(30):
        buckets.take("a")
    assert buckets.wait_s("a") == pytest.approx(2.0), "never more than the bucket holds"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADDRESSES", 10)
    buckets = Buckets(1, Clock())
    for number in range(50):
        buckets.take(str(number))
    assert len(buckets) == 10
    assert buckets.wait_s("49") > 0
    assert buckets.wait_s("0") == 0


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),  # no proxy: the header is the client's own claim
        ("10.0.0.2", "192.0.2.1, 203.0.113.9", "203.0.113.9"),
        ("8.8.8.8", "203.0.113.9", "8.8.8.8"),  # past the proxy
        ("2a00:1450:4001:1:2:3:4:5", "", "2a00:1450:4001:1::/64"),
        ("::ffff:198.51.100.7", "", "198.51.100.7"),
    ],
)
def test_who_asks(remote: str, forwarded: str, expected: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("POST", "/api/sessions", headers=headers).clone(remote=remote)
    config = ServerConfig(public_url="https://livery.example", trusted_proxies=("10.0.0.2",))
    assert Limits(config).address(request) == expected


def ticking(server: Server, **config: int) -> Clock:
    """Put the server's limits on a clock of their own."""
    assert server.app is not None
    clock = Clock()
    made = Limits(ServerConfig(**config), clock)  # type: ignore[arg-type]
    vars(server.app[LIMITS]).update(vars(made))
    return clock


async def opened(server: Server, token: str | None = None) -> tuple[int, str | None]:
    """Status and Retry-After of a new session."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with server.http.post(f"{server.origin}/api/sessions", headers=headers) as answer:
        if answer.status == 429:
            assert "try again in" in (await answer.json())["hint"]
        return answer.status, answer.headers.get("Retry-After")


async def test_sessions_are_opened_at_a_bounded_rate() -> None:
    async with serving() as server:
        clock = ticking(server, opens_per_minute=3)
        assert [await opened(server) for _ in range(3)] == [(201, None)] * 3
        assert await opened(server) == (429, "20")
        clock.now_s += 12.5
        assert await opened(server) == (429, "8")
        clock.now_s += 8
        assert await opened(server) == (201, None)


async def test_offers_are_taken_at_a_bounded_rate() -> None:
    async with serving() as server:
        here, there = await server.open(), await server.open()
        clock = ticking(server, offers_per_minute=2)
        assert [(await here.signal("whep", "v=0"))[0] for _ in range(3)] == [400, 400, 429]
        assert (await there.signal("whep", "v=0"))[0] == 400, "another session's are its own"
        clock.now_s += 30
        assert (await here.signal("whip", "v=0"))[0] == 400


async def test_guessing_the_servers_token_is_slowed() -> None:
    async with serving(token="a long secret") as server:
        clock = ticking(server, failures_per_minute=3)
        assert [(await opened(server, "wrong"))[0] for _ in range(3)] == [401] * 3
        assert await opened(server, "wrong") == (429, "20")
        assert (await opened(server, "a long secret"))[0] == 201, "the right one is not locked out"
        assert (await opened(server))[0] == 401, "no token is no guess"
        clock.now_s += 20
        assert (await opened(server, "wrong"))[0] == 401


async def test_guessing_a_sessions_token_is_slowed_for_this_session_only() -> None:
    async with serving() as server:
        here, there = await server.open(), await server.open()
        clock = ticking(server, failures_per_minute=2)
        assert [(await here.call("GET", token="wrong"))[0] for _ in range(3)] == [401, 401, 429]
        assert (await there.call("GET", token="wrong"))[0] == 401
        assert (await here.call("GET"))[0] == 200
        clock.now_s += 30
        assert (await here.call("GET", token="wrong"))[0] == 401


async def test_right_tokens_are_never_counted() -> None:
    async with serving(failures_per_minute=1) as server:
        client = await server.open()
        for _ in range(20):
            assert (await client.call("GET"))[0] == 200


def test_the_refusal_says_when() -> None:
    limited = Limits(ServerConfig(opens_per_minute=1), Clock())
    request = make_mocked_request("POST", "/api/sessions").clone(remote="198.51.100.7")
    limited.open(request)
    with pytest.raises(TooManyError) as refused:
        limited.open(request)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "60"})
