"""An edit made ready to be worn, with its keyframes: made beside the path, then put on as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from correspondence import DETECT, Image, Matcher, MaybeLandmarks, Prepared
from reference.compose.backdrop import Backdrop
from reference.compose.composite import CompositeConfig
from reference.compose.person import PersonDetector, may_reach_behind, split_edit
from reference.edits.edit import Edit, Mode
from reference.face.worn import edited_face
from reference.keyframes.bank import Keyframe, next_id
from reference.keyframes.drawn import KeyframeFill, draw
from reference.keyframes.keeper import ReferenceKeeper
from reference.keyframes.keeper_config import KeeperConfig
from reference.keyframes.keyframe_info import KeyframeInfo
from reference.keyframes.sights import EditStyle, ReadyKeyframe, sight_of
from reference.side_work import Worker


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UserKeyframe:
    """A keyframe that the user edited.

    Attributes:
        edit: what was changed on which picture.
        landmarks: of the picture; None for no face; DETECT to look for one.
        prepared: the picture made ready where that is known; spares the slowest part.
        id: the keyframe's name, see `bank.next_id`.
        made_s: time of its frame.
        pinned: False gives a keyframe made beside the path back what it was before the user edited it.
    """

    edit: Edit
    landmarks: MaybeLandmarks = DETECT
    prepared: Prepared | None = None
    id: int = field(default_factory=next_id)
    made_s: float = 0.0
    pinned: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Outfit:
    """An edit with all that a step needs of it.

    Attributes:
        edit: of the user's first keyframe; own: that keyframe.
        keeper: of all its keyframes; None where the first serves alone.
        backdrop: what the edit changed behind the person, the keyframes then hold the rest; None where
            nothing, or nothing that needs a place.
    """

    edit: Edit
    own: ReadyKeyframe
    keeper: ReferenceKeeper | None
    backdrop: Backdrop | None = None

    @property
    def worn(self) -> ReadyKeyframe:
        """The keyframe that serves the next frame."""
        return self.own if self.keeper is None else self.keeper.held.worn

    def keyframes(self) -> list[KeyframeInfo]:
        """Its keyframes, oldest first."""
        if self.keeper is not None:
            return self.keeper.held.describe()
        return [self.own.keyframe.describe(active=True, first=self.own.keyframe)]

    @property
    def nbytes(self) -> int:
        """Memory of its keyframes, bytes."""
        return self.own.keyframe.nbytes if self.keeper is None else self.keeper.held.nbytes

    def held(self) -> list[Keyframe]:
        """The keyframes themselves, oldest first."""
        return [self.own.keyframe] if self.keeper is None else list(self.keeper.held)

    def keyframe(self, keyframe_id: int) -> Keyframe | None:
        """One of its keyframes, None where it has gone."""
        return next((k for k in self.held() if k.id == keyframe_id), None)

    def remove(self, keyframe_id: int) -> None:
        """Take out a keyframe that was made beside the path.

        Raises:
            ValueError: there is none of this name that the user has not edited.
        """
        keyframe = self.keyframe(keyframe_id)
        if keyframe is None or keyframe.pinned or self.keeper is None:
            raise ValueError(f"there is no made keyframe {keyframe_id}")
        self.keeper.held.remove(keyframe)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Workshop:
    """What the outfits of one stream are made with; all its methods are slow and change nothing that is worn.

    Attributes:
        matcher, fill, composite, references: as the propagator's.
        worker: where keepers have their slow work done.
    """

    matcher: Matcher
    worker: Worker
    composite: CompositeConfig
    references: KeeperConfig | None
    fill: KeyframeFill | None
    split: bool = True  # carry what lies behind the person by the camera's motion

    def outfit(
        self, own: Sequence[UserKeyframe], mode: Mode | None = None, before: Outfit | None = None
    ) -> Outfit:
        """Make an edit ready.

        Args:
            own: the user's keyframes, the first one the anchor of the rest.
            mode: of all of them; None for the first one's own.
            before: an outfit that this one follows. Where both have the same first keyframe, what was made
                beside the path is kept as far as it holds: its keeper is taken over at once.

        Raises:
            ValueError: no keyframe, or the keyframes do not fit into the bank.
        """
        if not own:
            raise ValueError("an outfit needs at least one edited keyframe, got none")
        edit = own[0].edit
        style = EditStyle(mode or edit.mode, edit.strength, self.composite)
        keyframes = [self._keyframe(each) for each in own]
        backdrop = self._backdrop(edit, keyframes[0], style) if len(own) == 1 else None
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
        return Outfit(edit, anchor, keeper, backdrop)

    def _backdrop(self, edit: Edit, keyframe: Keyframe, style: EditStyle) -> Backdrop | None:
        """What the edit changed behind the person, None where that is little or needs no place."""
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
        return count > 1 or (references.make and not edit.is_global)

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
        """The edit drawn on a frame, to be edited further as another keyframe.

        Args:
            outfit: whose edit.
            frame: uint8 (H, W, 3).
            landmarks: of the frame.

        Returns:
            The frame made ready, and its edited picture, uint8 (H, W, 3): live where no keyframe knows it.
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
