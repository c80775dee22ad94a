"""The media hosts and which session is where: placing, moving, draining, and the loss of a host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from stream.cluster.placement import Report, Seat, best
from stream.cluster.remote import HostLostError, Remote
from stream.errors import CapacityError, ConflictError, NotFoundError, StartError
from stream.metrics import Registry
from stream.storage.errors import DamagedError, StorageError
from stream.storage.storage import discard, session_folders

logger = logging.getLogger(__name__)

START_S = 120.0  # longest start of the hosts
REPORT_S = 1.0  # interval between two reports of a host
ANSWER_S = 10.0  # a host that does not answer for so long is taken to be dead
LOST_S = 1.5  # likewise, if Ray cannot reach its process
AT_ONCE = 4  # sessions that are moved at the same time
LONGEST_PAUSE_S = 30.0  # between two attempts to bring a session back
SOON_S = 2  # after this a page whose session is being moved should ask again


class Fleet:
    """Knows the hosts and where each session is. It lives on the front's event loop.

    Args:
        remotes: the media hosts.
        folder: folder in which each start of a host keeps its store, on storage that all nodes share. None
            if sessions live in memory only; then they end with their host.
        registry: counts moves and losses.
        clock: returns the time, seconds.
    """

    def __init__(
        self,
        remotes: Sequence[Remote],
        folder: Path | None,
        registry: Registry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seats = {remote.name: Seat(remote.name) for remote in remotes}
        self.where: dict[str, Seat] = {}  # host of each session
        self.registry = registry
        self.orphans: dict[str, Path] = {}  # sessions without a host, and the folder of each
        self._remotes = {remote.name: remote for remote in remotes}
        self._heard_s: dict[str, float] = {}
        self._folder, self._clock = folder, clock
        self._given_up: set[str] = set()  # starts of hosts whose sessions went to others
        self._moving: dict[str, asyncio.Task[Seat]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Wait for the first report of every host, then take up what earlier hosts have stored.

        Raises:
            StartError: no host has started.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(self.look(name) for name in self.seats))
        if not any(seat.usable for seat in self.seats.values()):
            raise StartError(f"no media host has started within {START_S:.0f} s; Ray's logs say why")
        await self._find_orphans(self._stores())
        for name in self.seats:
            self._spawn(self._watch(name))

    async def close(self) -> None:
        """End the tasks. The hosts go on."""
        tasks = [*self._tasks, *self._moving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, name: str) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            try:
                await self.look(name)
            except Exception as exc:  # a host that cannot start; Ray's logs hold its traceback
                logger.error("media host %s failed: %s", name, exc)

    async def look(self, name: str) -> None:
        """Ask a host for its report, and see whether it has died since the last one."""
        seat, remote = self.seats[name], self._remotes[name]
        promised = set(seat.promised)
        limit_s = None if seat.report is None else ANSWER_S  # the first one takes as long as the start
        try:
            async with asyncio.timeout(limit_s):  # asyncio.wait_for may forget that it was cancelled
                report = await remote.report()
        except (HostLostError, TimeoutError) as exc:
            before = seat.report
            silent_s = self._clock() - self._heard_s.get(name, 0.0)
            if before is not None and silent_s > LOST_S:
                hangs = isinstance(exc, TimeoutError)
                await self._lose(seat, before, f"no answer for {silent_s:.0f} s" if hangs else "it died")
                if hangs:
                    await self._end(remote)
            return
        if report.run in self._given_up:  # it was out of reach, and others have its sessions now
            await self._end(remote)
            return
        if seat.report is not None and report.run != seat.report.run:
            await self._lose(seat, seat.report, "it was started again")
        self._heard_s[name] = self._clock()
        if seat.report is None:
            logger.info("media host %s is up at %s", name, report.address)
            seat.draining = False
        seat.report = report
        seat.promised -= promised
        if self._folder is None:  # what is no longer in its memory has ended
            held = seat.promised.union(report.sessions)
            for session in [s for s, at in self.where.items() if at is seat and s not in held]:
                del self.where[session]

    async def _end(self, remote: Remote) -> None:
        with contextlib.suppress(HostLostError):
            await remote.restart(gently=False)

    async def _lose(self, seat: Seat, report: Report, why: str) -> None:
        """Bring the sessions of a host that died back on others, those in use first."""
        logger.warning("media host %s is lost (%s); it had %d sessions", seat.name, why, len(report.sessions))
        self.registry.count("hosts_lost")
        seat.report = None
        seat.promised.clear()
        self._given_up.add(report.run)
        gone = [session for session, at in self.where.items() if at is seat]
        if self._folder is not None:
            await self._find_orphans([self._folder / report.run], first=report.sessions)
        for session in gone:
            if self.where.get(session) is seat:
                del self.where[session]

    def _stores(self) -> list[Path]:
        """The stores of hosts that are no more."""
        running = {seat.report.run for seat in self.seats.values() if seat.report is not None}
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path for path in self._folder.iterdir() if path.is_dir() and path.name not in running]

    async def _find_orphans(self, stores: list[Path], first: Iterable[str] = ()) -> None:
        found: dict[str, Path] = {}
        for store in stores:
            for path in await asyncio.to_thread(session_folders, store):
                found[path.name] = path
        if moving := [self._moving[session] for session in found if session in self._moving]:
            await asyncio.wait(moving)  # they have arrived elsewhere then, or are still here
        found = {session: path for session, path in found.items() if not self._is_up(session)}
        urgent = [session for session in first if session in found]
        order = [*urgent, *(session for session in found if session not in set(urgent))]
        self.orphans |= {session: found[session] for session in order}
        if stores:
            self._spawn(self._bring_back(order, stores))

    def _is_up(self, session: str) -> bool:
        seat = self.where.get(session)
        return seat is not None and seat.report is not None

    async def _bring_back(self, sessions: list[str], stores: list[Path]) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(session: str) -> None:
            pause_s = REPORT_S
            while session in self.orphans:
                try:
                    async with places:
                        await self.find(session)
                except CapacityError:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                except NotFoundError:
                    return

        await asyncio.gather(*(one(session) for session in sessions))
        for store in stores:
            await asyncio.to_thread(discard, store)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def place(self) -> Seat:
        """Return the best host for a new session. Raises CapacityError if there is none."""
        return best(self.seats.values())

    def settle(self, session: str, seat: Seat) -> None:
        """Note that a host has opened a session."""
        self.where[session] = seat
        seat.promised.add(session)
        self.registry.count("sessions_placed", f'host="{seat.name}"')

    def forget(self, session: str) -> None:
        """Note that a session has ended."""
        self.where.pop(session, None)

    async def find(self, session: str) -> Seat:
        """Return the host of a session. A session that is being moved is waited for.

        Raises:
            NotFoundError: no host knows it.
            CapacityError: it is about to come back on another host.
        """
        if (moving := self._moving.get(session)) is None and session in self.orphans:
            moving = self._begin(session, self._adopt(session, self.orphans[session]))
        if moving is not None:
            return await asyncio.shield(moving)
        seat = self.where.get(session)
        if seat is None:
            raise NotFoundError("there is no such session", "it ended, or its host did; open a new one")
        if seat.report is None:
            raise CapacityError(
                "the session's host was lost; it is being brought back on another", retry_after_s=SOON_S
            )
        return seat

    def _begin(self, session: str, work: Coroutine[Any, Any, Seat]) -> asyncio.Task[Seat]:
        """Start moving a session. Requests for it wait until the task has ended."""
        task = self._moving[session] = asyncio.create_task(work)

        def ended(done: asyncio.Task[Seat]) -> None:
            del self._moving[session]
            if not done.cancelled():
                done.exception()  # whoever waits for it is told

        task.add_done_callback(ended)
        return task

    async def _adopt(self, session: str, folder: Path, besides: Seat | None = None) -> Seat:
        """Let the best host take over a stored session.

        Raises:
            NotFoundError: what is stored of it is damaged.
            CapacityError: it has to be tried again later. The session stays an orphan.
        """
        seat = best(each for each in self.seats.values() if each is not besides)
        seat.promised.add(session)
        try:
            await self._remotes[seat.name].adopt(str(folder))
        except DamagedError as exc:
            if not await asyncio.to_thread(folder.exists):  # with a host that died before it could answer
                raise CapacityError("the session is being brought back", retry_after_s=SOON_S) from exc
            self.orphans.pop(session, None)
            logger.error("session %s is lost: %s", session[:6], exc)
            raise NotFoundError("the session could not be brought back", str(exc)) from exc
        except (HostLostError, StorageError) as exc:
            seat.promised.discard(session)
            logger.warning("session %s is not brought back yet: %s", session[:6], exc)
            raise CapacityError("the session is being brought back", retry_after_s=SOON_S) from exc
        self.orphans.pop(session, None)
        self.where[session] = seat
        self.registry.count("sessions_moved")
        return seat

    async def move(self, session: str) -> Seat:
        """Move a session from its host to the best other one. Requests for it wait meanwhile.

        Raises:
            ConflictError: sessions live in memory only.
            CapacityError: no other host is up, or the session's state is not on disk. It stays then.
        """
        if self._folder is None:
            raise ConflictError("sessions that live in memory only cannot be moved", "start with --data")
        seat = await self.find(session)
        best(each for each in self.seats.values() if each is not seat)
        if (moving := self._moving.get(session)) is not None:
            return await asyncio.shield(moving)
        return await asyncio.shield(self._begin(session, self._carry(session, seat)))

    async def _carry(self, session: str, seat: Seat) -> Seat:
        try:
            folder = Path(await self._remotes[seat.name].give(session))
        except HostLostError as exc:
            raise CapacityError("its host was lost", retry_after_s=SOON_S) from exc
        self.where.pop(session, None)
        self.orphans[session] = folder
        try:
            return await self._adopt(session, folder, besides=seat)
        except CapacityError:
            self._spawn(self._bring_back([session], []))
            raise

    async def has_room_elsewhere(self, seat: Seat) -> bool:
        """Whether a host has no room for another live session now, and another one has."""
        await self.look(seat.name)
        full = seat.report is not None and not seat.report.admits
        others = (each.report for each in self.seats.values() if each is not seat and each.usable)
        return self._folder is not None and full and any(report and report.admits for report in others)

    async def drain(self, name: str, *, restart: bool) -> int:
        """Move all sessions of a host to the others.

        Args:
            name: the host.
            restart: whether it is started again afterwards. If not, it stays up without sessions.

        Returns:
            How many sessions were moved.

        Raises:
            NotFoundError: there is no such host.
            ConflictError: sessions live in memory only.
            CapacityError: no other host is up, or a session could not be moved. The host goes on then.
        """
        seat = self.seats.get(name)
        if seat is None:
            raise NotFoundError(f"there is no media host {name[:40]!r}", f"there are {', '.join(self.seats)}")
        seat.draining = True
        places = asyncio.Semaphore(AT_ONCE)

        async def one(session: str) -> None:
            async with places:
                if self.where.get(session) is seat:
                    await self.move(session)

        try:
            here = [session for session, at in self.where.items() if at is seat]
            moved = await asyncio.gather(*(one(session) for session in here), return_exceptions=True)
            for problem in moved:
                if isinstance(problem, BaseException):
                    raise problem
        except BaseException:
            seat.draining = False
            raise
        if restart:
            with contextlib.suppress(HostLostError):
                await self._remotes[name].restart(gently=True)
        logger.info("media host %s was drained of %d sessions", name, len(here))
        return len(here)

    async def in_room(self, room: str) -> str | None:
        """Id of the session with a room name, on any host. None if the name is free."""
        up = [self._remotes[seat.name] for seat in self.seats.values() if seat.report is not None]
        answers = await asyncio.gather(*(remote.in_room(room) for remote in up), return_exceptions=True)
        return next((answer for answer in answers if isinstance(answer, str)), None)
