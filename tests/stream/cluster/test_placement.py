"""Which host a session goes to."""

from __future__ import annotations

import pytest

from stream.cluster.config import ClusterConfig
from stream.cluster.placement import Report, Seat, best, ranked
from stream.cluster.ray_hosts import shape
from stream.errors import CapacityError, StartError


def seat(name: str, **said: object) -> Seat:
    return Seat(name, Report(address="http://192.0.2.1:1", run=name, **said))  # type: ignore[arg-type]


def names(*seats: Seat) -> list[str]:
    return [each.name for each in ranked(seats)]


def test_the_one_with_most_processors_left_comes_first() -> None:
    assert names(seat("a", free=0.5), seat("b", free=1.5), seat("c", free=1.0)) == ["b", "c", "a"]


def test_sessions_that_are_not_live_yet_are_counted_by_what_one_was_measured_to_use() -> None:
    waiting = seat("a", free=2.0, sessions=("x", "y"), live=0)
    busy = seat("b", free=1.0, live=1, sessions=("z",), dearest=0.9)
    assert names(waiting, busy) == ["b", "a"]  # two at 0.9 leave 0.2
    cheap = seat("b", free=1.0, live=1, sessions=("z",), dearest=0.1)
    assert names(waiting, cheap) == ["a", "b"]


def test_sessions_given_since_the_report_are_counted_once() -> None:
    first, second = seat("a", free=1.0), seat("b", free=1.0)
    placed = []
    for number in range(6):
        chosen = best([first, second])
        chosen.promised.add(str(number))
        placed.append(chosen.name)
    assert placed == ["a", "b"] * 3
    assert first.report is not None
    first.report = Report(address="", run="a", free=1.0, sessions=("0", "2", "4"))
    assert best([first, second]).name == "a"  # the same three, reported by now


def test_a_host_without_room_for_a_live_session_comes_last() -> None:
    full = seat("a", free=0.8, live=2, dearest=0.9)
    slow = seat("b", free=1.5, live=1, dearest=0.2, stretch=1.6)
    spare = seat("c", free=0.3, live=1, dearest=0.3)
    assert names(full, slow, spare)[0] == "c"
    assert best([full]).name == "a", "it opens sessions all the same; who publishes is judged again"


def test_a_full_store_is_taken_only_if_all_are() -> None:
    full = seat("a", free=2.0, sessions=("x",), max_sessions=1)
    assert names(full, seat("b", free=0.1)) == ["b"]
    assert names(full) == ["a"]  # it gives up its idlest session, or refuses


def test_lost_and_draining_hosts_get_none() -> None:
    draining = seat("a")
    draining.draining = True
    with pytest.raises(CapacityError, match="no media host"):
        best([draining, Seat("b")])


@pytest.mark.parametrize("wrong", [{"hosts": 0}, {"host_cpus": 0}, {"hosts": 5000}, {"fill_hosts": -1}])
def test_settings_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        ClusterConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["", "somewhere", "ray://node:10001", "node:", ":6379", "a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        ClusterConfig(address=address)


def test_an_address_is_read() -> None:
    assert ClusterConfig(address="192.0.2.1:6379").place == ("192.0.2.1", 6379)
    assert ClusterConfig(address="[2001:db8::1]:6379").place == ("2001:db8::1", 6379)
    assert ClusterConfig(address="auto").place is None


def test_fill_workers_take_their_processors_from_the_hosts() -> None:
    nodes = [{"CPU": 8.0}, {"CPU": 4.0}]
    assert shape(nodes, ClusterConfig(), gpu=False) == (2, 4)
    assert shape(nodes, ClusterConfig(fill_hosts=2), gpu=False) == (2, 3)
    assert shape(nodes, ClusterConfig(fill_hosts=3, hosts=1), gpu=False) == (1, 2)
    assert shape([*nodes, {"CPU": 0.0}], ClusterConfig(host_cpus=2), gpu=False) == (6, 2)


def test_more_than_the_nodes_have_is_refused() -> None:
    nodes = [{"CPU": 1.0, "GPU": 1.0}] * 2
    with pytest.raises(StartError, match="room for 0 fill workers, not for 1"):
        shape(nodes, ClusterConfig(fill_hosts=1), gpu=False)
    one_each = ClusterConfig(fill_hosts=1, hosts=1)
    assert shape(nodes, one_each, gpu=True, fill_gpu=True) == (1, 1)
    with pytest.raises(StartError, match="room for 0 fill"):
        shape([{"CPU": 4.0, "GPU": 1.0}], one_each, gpu=True, fill_gpu=True)
    with pytest.raises(StartError, match="room for 2 media hosts of 1 processors and one GPU, not for 3"):
        shape(nodes, ClusterConfig(hosts=3), gpu=True)
    with pytest.raises(StartError, match="no node"):
        shape([{"CPU": 0.0}], ClusterConfig(), gpu=False)
