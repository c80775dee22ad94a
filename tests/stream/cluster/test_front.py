"""The front before real media hosts in this process: placing, passing on, loss, drain, rights."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from correspondence import Image
from stream.cluster import fleet
from stream.cluster.placement import CROWDED
from stream.errors import CapacityError
from stream.http.base import LIMITS
from stream.session.admission import CROWDED as ADMISSION_CROWDED
from tests.stream.cluster.cluster_rig import back, cluster, dress, processors_free, worn
from tests.stream.rig import publishing, until, until_state, watching


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "REPORT_S", 0.05)
    monkeypatch.setattr(fleet, "LOST_S", 0.1)


def test_a_host_is_crowded_where_it_refuses() -> None:
    assert CROWDED == ADMISSION_CROWDED


async def test_sessions_are_spread_and_reached_through_one_address(tmp_path: Path, astronaut: Image) -> None:
    async with cluster(tmp_path) as rig:
        clients = [await rig.open() for _ in range(4)]
        assert sorted(len(host.sessions) for host in rig.hosts) == [2, 2]
        state = await dress(clients[0], astronaut, "#1828e0")
        assert worn(await clients[0].ok("GET")) == worn(state)
        assert (await clients[1].ok("GET"))["edit"] is None
        assert (await clients[0].call("GET", token=clients[1].token))[0] == 401
        assert (await clients[0].picture("edit")).shape == (256, 256, 3)
        async with clients[0].events() as socket:
            assert socket.protocol == "livery"
            first = await socket.receive_json(timeout=5)
            assert (first["type"], first["id"]) == ("state", clients[0].id)
            await socket.send_json({"type": "settings", "strength": 0.25})
            while (said := await socket.receive_json(timeout=5))["type"] != "state":
                pass
            assert said["settings"]["strength"] == 0.25
        with pytest.raises(Exception, match="401"):
            async with clients[0].events("wrong"):
                pass
        async with rig.http.get(f"{rig.origin}/api/presets") as answer:
            assert answer.status == 200
        for page in ("/", f"/view/{clients[0].id}", "/static/app.js", "/healthz", "/readyz", "/api/server"):
            async with rig.http.get(rig.origin + page) as answer:
                assert answer.status == 200, page
        assert (await clients[2].call("DELETE"))[0] == 200
        assert (await clients[2].call("GET"))[0] == 404


async def test_what_is_too_much_is_refused_as_by_one_server(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield bytes(100_000)

    async with cluster(tmp_path, 1, upload_bytes=2_000_000) as rig:
        client = await rig.open()
        kind = {"Content-Type": "image/png"}
        for body, status in ((bytes(1_000_000), 415), (io.BytesIO(bytes(3_000_000)), 413), (parts(), 413)):
            assert (await client.call("POST", "/reference", data=body, headers=kind))[0] == status
        _, writer = await asyncio.open_connection("127.0.0.1", int(rig.origin.rsplit(":", 1)[1]))
        head = (
            f"POST /api/sessions/{client.id}/reference HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        )
        writer.write(f"{head}Authorization: Bearer {client.token}\r\n\r\nabc".encode())
        await asyncio.sleep(0.1)
        writer.close()  # within its body
        other = {"Connection": "Upgrade", "Upgrade": "h2c"}
        assert (await client.call("GET", headers=other))[0] == 400
        for path, status in (("..%2fhealthz", 404), (client.id, 200)):
            url = f"{rig.origin}/api/sessions/{path}"
            async with rig.http.get(url, headers={"Authorization": f"Bearer {client.token}"}) as answer:
                assert answer.status == status, path


async def test_media_goes_straight_to_the_host(tmp_path: Path) -> None:
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        async with publishing(client) as (_, location), watching(client) as screen:
            await screen.after(3)
            assert location.startswith(f"{rig.origin}/whip/{client.id}/")
            session = rig.host_of(client).sessions[client.id]
            assert session.connections.publishing
            headers = {"Authorization": f"Bearer {client.token}"}
            async with rig.http.delete(location, headers=headers) as answer:
                assert answer.status == 200
            await until(lambda: not session.connections.expecting)


async def test_a_lost_hosts_sessions_come_back_with_their_looks(tmp_path: Path, astronaut: Image) -> None:
    async with cluster(tmp_path, 3) as rig:
        clients = [await rig.open() for _ in range(3)]
        looks = [worn(await dress(client, astronaut, f"#18{n}8e0")) for n, client in enumerate(clients)]
        lost = rig.host_of(clients[0])
        async with clients[0].events() as socket:
            await lost.die()
            told = [message.json().get("text") async for message in socket]
            assert (told[-1], socket.close_code) == (
                "the machine of this session was lost; it comes back",
                1012,
            )
        states = [await back(client, 5) for client in clients]
        assert [worn(state) for state in states] == looks
        assert rig.host_of(clients[0]) is not lost
        again = await clients[0].ok("PATCH", "/settings", json={"strength": 0.5})
        assert again["storage"]["problem"] is None
        fresh = await clients[0].ok("POST", "/preset", json={"name": "lipstick", "strength": 0.4})
        assert fresh["edit"]["version"] > states[0]["edit"]["version"]
        lost.rise()
        await until(lambda: all(seat.usable for seat in rig.fleet.seats.values()))
        await until(lambda: len(list(tmp_path.iterdir())) == 3, 5)  # the lost one's store was emptied


async def test_a_host_started_again_between_two_looks_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "LOST_S", 100.0)
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        await client.ok("PATCH", "/settings", json={"strength": 0.3})
        host = rig.host_of(client)
        await host.die()
        host.rise()
        assert (await back(client, 5))["settings"]["strength"] == 0.3


async def test_a_host_that_comes_into_reach_again_is_ended(tmp_path: Path) -> None:
    """Others have its sessions by then; it must not go on with them."""
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        host = rig.host_of(client)
        before = host.host
        host.dead = True
        await until(lambda: not rig.fleet.seats[host.name].usable)
        await back(client, 5)
        host.dead = False
        await until(lambda: host.host is not before and rig.fleet.seats[host.name].usable)
        await before.close()


async def test_a_host_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "ANSWER_S", 0.3)
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        await client.ok("PATCH", "/settings", json={"strength": 0.3})
        host = rig.host_of(client)
        before = host.host
        host.hangs = True
        await until(lambda: host.host is not before)
        assert (await back(client, 5))["settings"]["strength"] == 0.3
        assert rig.host_of(client) is not host


async def test_drain_moves_all_without_a_lost_look(tmp_path: Path, astronaut: Image) -> None:
    async with cluster(tmp_path) as rig:
        clients = [await rig.open() for _ in range(4)]
        looks = [worn(await dress(client, astronaut, f"#b3{n}22e")) for n, client in enumerate(clients)]
        host = rig.host_of(clients[0])
        async with clients[0].events() as socket:

            async def listen() -> list[object]:
                return [message.json().get("text") async for message in socket]

            listening = asyncio.create_task(listen())
            url = f"{rig.origin}/api/cluster/hosts/{host.name}/drain"
            async with rig.http.post(url, json={}) as answer:
                assert await answer.json() == {"moved": 2}
            states = await asyncio.gather(*(client.ok("GET") for client in clients))
            said = await listening
        assert [worn(state) for state in states] == looks
        assert any("moves to another machine" in str(text) for text in said)
        assert all(rig.host_of(client) is not host for client in clients)
        await until(lambda: rig.fleet.seats[host.name].usable)  # started again, empty
        assert not host.sessions


async def test_a_drain_that_would_lose_something_is_refused(tmp_path: Path) -> None:
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        host, other = rig.host_of(client), next(h for h in rig.hosts if h is not rig.host_of(client))
        await other.die()
        await until(lambda: not rig.fleet.seats[other.name].usable)
        with pytest.raises(CapacityError, match="no media host"):
            await rig.fleet.drain(host.name, restart=True)
        assert (await client.ok("GET"))["id"] == client.id
        assert rig.fleet.seats[host.name].usable


async def test_what_goes_live_moves_to_where_there_is_room(tmp_path: Path, astronaut: Image) -> None:
    async with cluster(tmp_path) as rig:
        clients = [await rig.open() for _ in range(4)]
        host = rig.host_of(clients[0])
        first, second = (client for client in clients if rig.host_of(client) is host)
        look = worn(await dress(second, astronaut, "#1828e0"))
        async with publishing(first):
            processors_free(host, free=0.1, dearest=0.9)
            async with publishing(second):
                assert rig.host_of(second) is not host
                assert worn(await second.ok("GET")) == look
                assert (await first.ok("GET"))["publishing"]


async def test_without_room_anywhere_it_is_refused_as_by_one_server(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1) as rig:
        first, second = await rig.open(), await rig.open()
        async with publishing(first):
            processors_free(rig.hosts[0], free=0.1, dearest=0.9)
            status, body = await second.call("POST", "/demo")
            assert (status, "no room for another live session" in body["error"]) == (503, True)


async def test_a_room_is_one_sessions_over_all_hosts(tmp_path: Path) -> None:
    async with cluster(tmp_path) as rig:
        one, two = await rig.open(), await rig.open()
        assert rig.host_of(one) is not rig.host_of(two)
        await one.ok("PUT", "/room", json={"room": "stage"})
        assert (await two.call("PUT", "/room", json={"room": "stage"}))[0] == 409
        await one.ok("PUT", "/room", json={"room": "stage"})  # its own
        async with rig.http.get(
            f"{rig.origin}/api/rooms/stage", headers={"Authorization": f"Bearer {one.view_token}"}
        ) as answer:
            assert (await answer.json())["id"] == one.id
        async with rig.http.get(f"{rig.origin}/api/rooms/none") as answer:
            assert answer.status == 404


async def test_who_may_ask_for_hosts(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1, token="12345678") as rig:
        wanted = {"Authorization": "Bearer 12345678"}
        for method, path in (
            ("GET", "/api/cluster"),
            ("POST", "/api/cluster/hosts/0/drain"),
            ("GET", "/metrics"),
        ):
            async with rig.http.request(method, rig.origin + path) as answer:
                assert answer.status == 401, path
        async with rig.http.post(f"{rig.origin}/api/sessions") as answer:
            assert answer.status == 401
        async with rig.http.get(f"{rig.origin}/api/cluster", headers=wanted) as answer:
            (host,) = (await answer.json())["hosts"]
            assert (host["name"], host["up"], host["sessions"]) == ("0", True, 0)
        async with rig.http.get(f"{rig.origin}/metrics", headers=wanted) as answer:
            assert "livery_hosts_up 1" in await answer.text()
        async with rig.http.post(f"{rig.origin}/api/sessions", headers=wanted) as answer:
            assert answer.status == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)],
)
async def test_foreign_names_and_pages_are_refused(headers: dict[str, str], status: int) -> None:
    async with (
        cluster(None, 1) as rig,
        rig.http.post(f"{rig.origin}/api/sessions", headers=headers) as answer,
    ):
        assert answer.status == status


async def test_without_a_store_a_lost_session_has_ended() -> None:
    async with cluster(None) as rig:
        client, other = await rig.open(), await rig.open()
        lost = rig.host_of(client)
        await lost.die()
        await until(lambda: not rig.fleet.seats[lost.name].usable)
        await asyncio.sleep(0.1)
        assert (await client.call("GET"))[0] == 404
        assert (await other.call("GET"))[0] == 200


async def test_a_client_is_counted_by_its_own_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the front's: a token that is guessed wrong often is slowed down for the guesser alone."""
    monkeypatch.setattr("stream.http.limits.GUESS_S", 0.0)
    async with cluster(tmp_path, 1, failures_per_minute=2) as rig:
        client = await rig.open()
        for _ in range(3):
            await client.call("GET", token="wrong", headers={"X-Forwarded-For": "192.0.2.9"})
        assert list(rig.hosts[0].app[LIMITS]._failed._levels) == [f"127.0.0.1 {client.id}"]
    async with cluster(tmp_path, 1, trusted_proxies=("127.0.0.1",)) as rig:  # before the front
        client = await rig.open()
        await client.call("GET", token="wrong", headers={"X-Forwarded-For": "192.0.2.9"})
        assert list(rig.hosts[0].app[LIMITS]._failed._levels) == [f"192.0.2.9 {client.id}"]


async def test_an_earlier_clusters_sessions_are_taken_up(tmp_path: Path, astronaut: Image) -> None:
    async with cluster(tmp_path) as rig:
        client = await rig.open()
        look = worn(await dress(client, astronaut, "#1828e0"))
    async with cluster(tmp_path) as later:
        again = type(client)(later, client.id, client.token, client.view_token)
        assert worn(await back(again)) == look
        await until(lambda: not later.fleet.orphans)
        assert (await until_state(again, lambda state: state["id"] == client.id))["id"] == client.id
