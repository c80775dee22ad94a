"""Outfits: edits with their keyframes, made ready beside the frame's path and put on as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from correspondence import DETECT, Image, Landmarks, Matcher, MaybeLandmarks, Prepared
from reference.compose.backdrop import Backdrop
from reference.compose.composite import CompositeConfig
from reference.compose.person import PersonDetector, may_reach_behind, split_edit
from reference.edits.edit import Edit, Mode
from reference.edits.worn import Division, divide, edited_face
from reference.keyframes.drawn import KeyframeFill, draw
from reference.keyframes.keeper import ReferenceKeeper
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe import Keyframe, KeyframeInfo, next_id
from reference.keyframes.learned import LookLearner, is_learnable
from reference.keyframes.sights import EditStyle, ReadyKeyframe, sight_of
from reference.side_work import Worker


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UserKeyframe:
    """A keyframe that the user edited.

    Attributes:
        edit: the edit, with its reference.
        landmarks: landmarks of the reference; None for no face; DETECT to search one.
        prepared: the reference made ready for matching, if known; it saves the slowest part of the work.
        id: identifies the keyframe, see `keyframe.next_id`.
        made_s: time of its frame, seconds.
        pinned: whether the user edited it. False turns it back into a keyframe that Livery made.
    """

    edit: Edit
    landmarks: MaybeLandmarks = DETECT
    prepared: Prepared | None = None
    id: int = field(default_factory=next_id)
    made_s: float = 0.0
    pinned: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Outfit:
    """An edit made ready for `Propagator.step`.

    Attributes:
        edit: the edit of the user's first keyframe.
        own: the user's first keyframe, made ready.
        keeper: keeps all keyframes; None if the first one serves alone.
        backdrop: the part of the edit behind the person, the keyframes then hold the rest; None if the edit
            changes little there or needs no place.
        further: what further people in a frame may wear. Each wears the one whose reference face they look
            like; the first is that of `own`. Empty if only one person wears the edit.
    """

    edit: Edit
    own: ReadyKeyframe
    keeper: ReferenceKeeper | None
    backdrop: Backdrop | None = None
    further: tuple[ReadyKeyframe, ...] = ()

    @property
    def worn(self) -> ReadyKeyframe:
        """The keyframe that serves the next frame."""
        return self.own if self.keeper is None else self.keeper.held.worn

    def keyframes(self) -> list[KeyframeInfo]:
        """Returns the descriptions of its keyframes, oldest first."""
        if self.keeper is not None:
            return self.keeper.held.describe()
        return [self.own.keyframe.describe(active=True, first=self.own.keyframe)]

    @property
    def nbytes(self) -> int:
        """Memory that its keyframes hold, bytes."""
        further = sum(ready.keyframe.nbytes for ready in self.further if ready is not self.own)
        return further + (self.own.keyframe.nbytes if self.keeper is None else self.keeper.held.nbytes)

    def held(self) -> list[Keyframe]:
        """Returns its keyframes, oldest first."""
        return [self.own.keyframe] if self.keeper is None else list(self.keeper.held)

    def keyframe(self, keyframe_id: int) -> Keyframe | None:
        """Returns the keyframe of an id; None if it is not held."""
        return next((k for k in self.held() if k.id == keyframe_id), None)

    def remove(self, keyframe_id: int) -> None:
        """Removes a keyframe that Livery made.

        Raises:
            ValueError: there is no such keyframe, or the user edited it.
        """
        keyframe = self.keyframe(keyframe_id)
        if keyframe is None or keyframe.pinned or self.keeper is None:
            raise ValueError(f"there is no made keyframe {keyframe_id}")
        self.keeper.held.remove(keyframe)

    def retire(self, successor: Outfit | None = None) -> None:
        """Ends the work on its keyframes beside the frame's path. It may be called from any thread.

        Call it once an outfit is worn no more. If it is worn nevertheless, it gets no further keyframes.

        Args:
            successor: the outfit that is worn instead, if any. Nothing is ended if that outfit has taken over
                the keyframes, see `Workshop.outfit`.
        """
        if self.keeper is not None and (successor is None or successor.keeper is not self.keeper):
            self.keeper.held.retire()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Workshop:
    """Makes the outfits of one stream. Its methods are slow.

    Attributes:
        matcher: the propagator's matcher.
        worker: runs the slow work of the keepers.
        composite, references, split, faces: as in `PropagatorConfig`.
        fill: as for `Propagator`.
    """

    matcher: Matcher
    worker: Worker
    composite: CompositeConfig
    references: KeeperConfig | None
    fill: KeyframeFill | None
    split: bool = True
    faces: int = 1

    def outfit(
        self, own: Sequence[UserKeyframe], mode: Mode | None = None, before: Outfit | None = None
    ) -> Outfit:
        """Makes an outfit.

        Args:
            own: the user's keyframes, at least one; the others relate to the first.
            mode: mode of all edits; None for the first one's own.
            before: the outfit that this one follows. If it holds the first keyframe, its keeper is taken over
                at once, with those made keyframes that are still valid.

        Raises:
            ValueError: no keyframe, or the keyframes do not fit into the bank.
        """
        if not own:
            raise ValueError("an outfit needs at least one edited keyframe, got none")
        edit = own[0].edit
        style = EditStyle(mode or edit.mode, edit.strength, self.composite, edit.stickers)
        keyframes = [self._keyframe(each) for each in own]
        divisions = [self._division(keyframe) for keyframe in keyframes]
        for i, division in enumerate(divisions):
            if division is not None and division.first is not None:
                keyframes[i] = replace(keyframes[i], edit=division.first)
        backdrop = self._backdrop(keyframes[0].edit or edit, keyframes[0], style) if len(own) == 1 else None
        if backdrop is not None:
            keyframes[0] = replace(keyframes[0], edit=backdrop.split.front)
        anchor = style.ready(keyframes[0])
        keeper = None
        if self._wants_keeper(anchor, len(own)):
            keeper = before.keeper if before is not None else None
            if keeper is None or not keeper.held.holds(own[0].id):
                assert self.references is not None
                keeper = ReferenceKeeper(anchor, self.matcher, style, self.worker, self.references, self.fill)
            keeper.held.follow(keyframes, style)
        heads = () if divisions[0] is None else divisions[0].heads
        if backdrop is not None and heads:  # what is carried with the camera is on nobody's head
            front = self._division(anchor.keyframe)
            heads = ((None, heads[0][1]) if front is None else front.heads[0], *heads[1:])
        return Outfit(edit, anchor, keeper, backdrop, self._further(anchor, heads, style))

    def _division(self, keyframe: Keyframe) -> Division | None:
        """How a keyframe's edit is divided among people; None if one alone wears it or it needs no face."""
        if self.faces < 2:
            return None
        edit, face = keyframe.edit or Edit(keyframe.image, keyframe.edited), keyframe.prepared.landmarks
        return None if face is None or edit.is_empty or edit.is_global else divide(edit, face)

    def _further(
        self, own: ReadyKeyframe, heads: Sequence[tuple[Edit | None, Landmarks]], style: EditStyle
    ) -> tuple[ReadyKeyframe, ...]:
        """What further people wear, see `Outfit.further` and `Division.heads`."""
        further = tuple(
            own if worn is None else style.fresh(self._head(own.keyframe, worn, face)) for worn, face in heads
        )
        return () if all(ready.edit.is_empty for ready in further) else further

    def _head(self, keyframe: Keyframe, worn: Edit, face: Landmarks) -> Keyframe:
        """The keyframe of a head, which is matched by its own face."""
        prepared = keyframe.prepared
        if face is not prepared.landmarks:
            prepared = self.matcher.prepare(keyframe.image, landmarks=face)
        return Keyframe(prepared.image, worn.edited, prepared, edit=worn)

    def _backdrop(self, edit: Edit, keyframe: Keyframe, style: EditStyle) -> Backdrop | None:
        """The part of the edit behind the person; None if that is little or needs no place."""
        if not self.split or not may_reach_behind(edit, keyframe.prepared.landmarks):
            return None
        detector = PersonDetector()
        try:
            split = split_edit(edit.with_mode(style.mode), detector(edit.reference, 0.0).mask)
        finally:
            detector.close()
        return None if split is None else Backdrop(split, self.composite, beside=self._beside)

    @property
    def _beside(self) -> bool:
        return self.references is None or self.references.background

    def _wants_keeper(self, anchor: ReadyKeyframe, count: int) -> bool:
        references, edit = self.references, anchor.edit
        if references is None or anchor.keyframe.prepared.landmarks is None or edit.is_empty:
            return False
        learns = isinstance(self.fill, LookLearner) and is_learnable(edit)
        makes = references.make and edit.box is not None and not anchor.is_rigid
        return count > 1 or (makes and (learns or not edit.is_global))

    def _keyframe(self, own: UserKeyframe) -> Keyframe:
        edit = own.edit
        prepared = own.prepared or self.matcher.prepare(edit.reference, landmarks=own.landmarks)
        face = edited_face(edit, prepared.landmarks)
        if face is not prepared.landmarks:
            prepared = self.matcher.prepare(edit.reference, landmarks=face)
        return Keyframe(
            prepared.image, edit.edited, prepared, pinned=own.pinned, made_s=own.made_s,
            edit=edit if own.pinned else None, id=own.id,
        )  # fmt: skip

    def carry(
        self, outfit: Outfit, frame: Image, landmarks: MaybeLandmarks = DETECT
    ) -> tuple[Prepared, Image]:
        """Draws an outfit's edit on a frame, so that the user can edit it further as another keyframe.

        Args:
            outfit: the outfit.
            frame: uint8 (H, W, 3).
            landmarks: landmarks of the frame; None for no face; DETECT to search one.

        Returns:
            The frame made ready for matching, and its edited picture, uint8 (H, W, 3). Parts of the edit that
            no keyframe knows stay live.
        """
        config = self.references or KeeperConfig()
        style = EditStyle(outfit.worn.edit.mode, outfit.edit.strength, self.composite)
        prepared = self.matcher.prepare(frame, landmarks=landmarks)
        sources = sorted(outfit.held(), key=lambda k: not k.pinned)[: config.max_sources]
        sights = [
            sight_of(frame, prepared.landmarks, k, self.matcher, style, config.radius, config.threshold)
            for k in sources
        ]
        return prepared, draw(frame, sights, style).edited
