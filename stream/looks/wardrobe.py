"""The looks of a session. All are made ready beside the frames' path, one is worn, edits can be undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TypeVar

from correspondence import Prepared
from reference import UserKeyframe, Workshop
from stream.errors import ConflictError, NotFoundError, RequestError
from stream.looks.history import Change, History, Worn
from stream.looks.look import Look, Overlay, Pictures, Settings, checked_name, free_name
from stream.looks.memory import check_pixels, make_room

T = TypeVar("T")


class Wardrobe:
    """Holds named looks, one of which is active.

    Every look is made ready when it is edited, so that `wear` only exchanges pointers. Slow work runs in
    `executor`, one task after the other. Reading and `wear` never wait for it.

    Args:
        workshop: returns the workshop that makes outfits. It is built when it is first needed.
        put_on: makes the pipeline wear `active` in its present state. It is quick.
        executor: runs the slow work.
        max_looks: largest number of looks.
        max_bytes: approximate limit of the memory of their pictures and undo steps, bytes.
        max_faces: largest number of people in the picture who may wear a look; at first as many do.
    """

    def __init__(
        self,
        workshop: Callable[[], Awaitable[Workshop]],
        put_on: Callable[[], None],
        executor: Executor,
        *,
        max_looks: int,
        max_bytes: int,
        max_faces: int = 1,
    ) -> None:
        self.workshop = workshop
        self._put_on = put_on
        self._executor = executor
        self._max_bytes = max_bytes
        self._ids = count(1)
        self.changing = asyncio.Lock()  # held while pictures change
        self.importing = asyncio.Lock()  # held while a look file is taken in, which needs much memory
        self.history = History()
        self.max_looks = max_looks
        self.active = self._new("Look 1")
        self.looks = [self.active]
        self.enabled = True
        self.overlay: Overlay = "none"
        self.faces = self.max_faces = max_faces

    def _new(self, name: str) -> Look:
        return Look(next(self._ids), name)

    def restore(
        self, looks: Sequence[Look], active: int, *, enabled: bool = True, overlay: Overlay = "none"
    ) -> None:
        """Replace all looks. Call `make_ready` afterwards to make them ready to be worn.

        Args:
            looks: at least one look, without outfits.
            active: id of the look that is worn.
            enabled, overlay: see `Settings`.
        """
        self.looks = list(looks)
        self._ids = count(max(look.id for look in looks) + 1)
        self.active = self.look(active)
        self.enabled, self.overlay = enabled, overlay
        self.history = History()

    async def make_ready(self) -> list[str]:
        """Make every look ready that is not ready yet, the active one first.

        Returns:
            A sentence for people about each look that could not be made ready.
        """
        problems: list[str] = []
        for look in sorted(self.looks, key=lambda look: look is not self.active):
            async with self.changing:
                if look.outfit is not None or look not in self.looks or not look.pictures.edits:
                    continue
                try:
                    await self.fit(look, look.pictures)
                except ConflictError as exc:
                    problems.append(f"The look “{look.name}” cannot be worn: {exc.text}.")
        return problems

    @property
    def settings(self) -> Settings:
        """The settings with which the active look is worn."""
        look = self.active
        return Settings(look.mode, look.strength, self.enabled, self.overlay, self.faces)

    def look(self, look_id: int | None = None) -> Look:
        """Return a look by id, or the active look for None.

        Raises:
            NotFoundError: there is no such look.
        """
        if look_id is None:
            return self.active
        found = next((look for look in self.looks if look.id == look_id), None)
        if found is None:
            known = ", ".join(str(look.id) for look in self.looks)
            raise NotFoundError(f"there is no look {look_id}", f"the looks of this session are {known}")
        return found

    def wear(self, look_id: int) -> Look:
        """Wear a look from the next frame on. This never waits.

        Raises:
            NotFoundError: there is no such look.
        """
        self.active = self.look(look_id)
        self.enabled = True
        self._put_on()
        return self.active

    def show(self) -> None:
        """Show what is worn where the live picture was shown instead."""
        if not self.enabled:
            self.enabled = True
            self._put_on()

    async def change(self, settings: Settings) -> None:
        """Apply settings to the active look and the session. A new mode takes a moment to show.

        Raises:
            RequestError: more people should wear the look than this server allows.
        """
        if settings.faces > self.max_faces:
            raise RequestError(
                f"faces must be at most {self.max_faces} on this server, got {settings.faces}",
                "start it with a larger --faces, 4 at most",
            )
        look, self.faces = self.active, settings.faces
        before, after = (look.mode, look.strength), (settings.mode, settings.strength)
        self.enabled, self.overlay, look.strength = settings.enabled, settings.overlay, settings.strength
        self._put_on()
        if before != after and (kept := look.pictures).edits:
            label = "mode" if before[0] != after[0] else "strength"
            self.history.add(
                Change(
                    look, kept, kept, label, self.looks.index(look), (before, after), f"the look's {label}"
                )
            )
        if settings.mode == look.mode:
            return
        look.mode = settings.mode
        async with self.changing:
            if look.mode == settings.mode and look in self.looks:  # else a newer change waits
                await self.fit(look, look.pictures)

    async def create(self, name: object = None, *, copy: bool = False) -> Look:
        """Create another look and wear it at once.

        Raises:
            ConflictError: there are already as many looks as allowed, or there is not enough memory.
            RequestError: the name is not allowed.
        """
        named = None if name is None else checked_name(name)
        async with self.changing:
            self._check_number()
            source = self.active
            look = self._new(named or free_name(self.looks, f"{source.name} copy"[:40] if copy else None))
            if copy:
                look.mode, look.strength = source.mode, source.strength
                await self.fit(look, source.pictures)
            else:
                look.pictures = Pictures(source.pictures.reference)
            self.looks.append(look)
            self.wear(look.id)
            return look

    def _check_number(self) -> None:
        if len(self.looks) >= self.max_looks:
            raise ConflictError(f"a session holds at most {self.max_looks} looks", "remove one first")

    def rename(self, look_id: int, name: object) -> None:
        """Give a look another name.

        Raises:
            NotFoundError: there is no such look.
            RequestError: the name is not allowed.
        """
        self.look(look_id).name = checked_name(name)

    async def discard(self, look_id: int) -> None:
        """Remove a look. If it was active, its neighbour is worn instead. This can be undone.

        Raises:
            NotFoundError: there is no such look.
            ConflictError: it is the only look.
        """
        async with self.changing:
            look = self.look(look_id)
            place = self.looks.index(look)
            self._take_out(look)
            self.history.add(Change(look, look.pictures, None, f"removal of “{look.name}”", place))

    def _take_out(self, look: Look) -> None:
        if len(self.looks) == 1:
            raise ConflictError("the only look stays", "remove its edit instead")
        place = self.looks.index(look)
        self.looks.remove(look)
        if self.active is look:
            self.active = self.looks[min(place, len(self.looks) - 1)]
            self._put_on()
        if look.outfit is not None:
            look.outfit.retire()
        look.outfit = look.held = look.focus = None

    async def install(
        self,
        look: Look,
        pictures: Pictures,
        label: str,
        *,
        focus: int | None = None,
        merges: str | None = None,
    ) -> None:
        """Give a look other pictures and remember the old ones for undo. The caller holds `changing`.

        Args:
            look: the look to change.
            pictures: its new pictures.
            label: what was done, for the undo button.
            focus: id of the keyframe that is edited from now on.
            merges: see `history.Change`.

        Raises:
            ConflictError: there is not enough memory, or the look was removed.
        """
        if look not in self.looks:
            raise ConflictError(f"the look “{look.name}” was removed meanwhile", "undo that, or edit another")
        before = look.pictures
        if pictures.edits == before.edits:  # only the reference changed
            look.pictures = pictures
        else:
            await self.fit(look, pictures)
        look.focus = focus
        place = self.looks.index(look)
        self.history.add(Change(look, before, pictures, label, place, merges=merges))

    async def fit(self, look: Look, pictures: Pictures) -> None:
        """Make new pictures of a look ready. Until then the look is worn with its old ones."""
        others = (other.pictures for other in self.looks if other is not look)
        make_room([pictures, *others], self.history, self._max_bytes)
        own = await self.run(partial(self._own, look, pictures))
        outfit = None
        if own:
            workshop = await self.workshop()
            try:
                outfit = await self.run(partial(workshop.outfit, own, look.mode, look.outfit))
            except ValueError as exc:  # the bank's words
                raise ConflictError(str(exc), "remove a keyframe, or use smaller pictures") from exc
        before, look.outfit, look.pictures = look.outfit, outfit, pictures
        if look.focus is not None and look.keyframe(look.focus) is None:
            look.focus = None
        if look is self.active:
            self._put_on()
        if before is not None:
            before.retire(outfit)

    def _own(self, look: Look, pictures: Pictures) -> list[UserKeyframe]:
        """Convert a look's keyframes for the propagator, without those that change nothing. This is slow."""
        edits = [e for e in pictures.edits if not e.edit.is_empty] or pictures.edits[:1]
        own = [e.user_keyframe(self._prepared(e.reference.id)) for e in edits]
        for e in look.pictures.edits:  # a keyframe that Livery made returns when the user's edit of it goes
            if e.was is not None and own and pictures.find(e.reference.id) is None:
                own.append(replace(e.user_keyframe(self._prepared(e.reference.id)), edit=e.was, pinned=False))
        return own

    def _prepared(self, keyframe: int) -> Prepared | None:
        outfits = (look.outfit for look in self.looks if look.outfit is not None)
        found = (outfit.keyframe(keyframe) for outfit in outfits)
        return next((k.prepared for k in found if k is not None), None)

    def check_pixels(self, pixels: int) -> None:
        """Check that edits of so many pixels would fit beside the looks (see `memory.check_pixels`)."""
        check_pixels(pixels, (look.pictures for look in self.looks), self._max_bytes)

    async def undo(self) -> None:
        """Undo the last edit and wear its look.

        Raises:
            ConflictError: there is nothing to undo, or not enough memory.
        """
        async with self.changing:
            change = self.history.undo
            if change is None:
                raise ConflictError("there is nothing to undo")
            await self._bring(change, change.before, change.worn and change.worn[0])
            self.history.undone()

    async def redo(self) -> None:
        """Redo the edit that was undone last, and wear its look.

        Raises:
            ConflictError: there is nothing to redo, or not enough memory.
        """
        async with self.changing:
            change = self.history.redo
            if change is None:
                raise ConflictError("there is nothing to redo")
            await self._bring(change, change.after, change.worn and change.worn[1])
            self.history.redone()

    async def _bring(self, change: Change, pictures: Pictures | None, worn: Worn | None) -> None:
        look = change.look
        if worn is not None:
            look.mode, look.strength = worn
        if pictures is None:
            self._take_out(look)
            return
        if look not in self.looks:
            self._check_number()
            await self.fit(look, pictures)
            self.looks.insert(change.place, look)
        else:
            await self.fit(look, pictures)
        if self.active is not look:
            self.wear(look.id)

    def close(self) -> None:
        """End the work on the keyframes of all looks, which are worn no more."""
        for outfit in (look.outfit for look in self.looks if look.outfit is not None):
            outfit.retire()

    async def run(self, work: Callable[[], T]) -> T:
        """Run slow work in the executor, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
