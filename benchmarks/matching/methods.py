"""The methods of finding a field that the quality benchmark compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from correspondence import Float, Image, Landmarks, Match, Matcher, Prepared
from correspondence.certainty.doubt import own_word
from correspondence.face.mesh import landmark_field
from correspondence.geometry.region import GRID, choose_region
from correspondence.geometry.warp import warp_image
from correspondence.matchers.classical import ClassicalReference, assemble, gray_of, prepare, still_field
from correspondence.matchers.coarse import coarse_field
from correspondence.network.checkpoints import GRAPHS, Model, open_model, shipped_models
from correspondence.network.fine import NetworkAnswer, NetworkReference, Runner, Tables, enlarge
from correspondence.network.propose import Proposal
from correspondence.network.runtime import NetworkMatcher, OnnxRunner
from correspondence.types import Box, Patch
from reference import Mode

FloatAny = npt.NDArray[np.floating[Any]]
STREAM_EDIT = "StreamEdit-style"
NO_SCALE = 0.0  # log_b of a method without uncertainty: one pixel everywhere


class Method(Protocol):
    """A method that makes a match from a frame and a reference."""

    @property
    def name(self) -> str:
        """Name of its row in the table."""
        ...

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Any:
        """Do the work that is needed once per reference."""
        ...

    def match(self, frame: Image, state: Any, landmarks: Landmarks | None, previous: Match | None) -> Match:
        """Do the work that is needed once per frame."""
        ...

    @property
    def mode(self) -> Mode:
        """How edits carried by its field are composed."""
        ...

    def scale_offset(self, error: FloatAny, log_b: FloatAny) -> float:
        """Value added to its log_b before coverage is judged. 0 if log_b is in pixels."""
        ...


class Plain:
    """Base of most methods: edits are composed as in a session, and log_b is in pixels."""

    mode: Mode = "auto"

    def scale_offset(self, error: FloatAny, log_b: FloatAny) -> float:
        """See `Method`."""
        return 0.0


@dataclass(frozen=True)
class Copy(Plain):
    """Copies the reference: the field is 0."""

    name: str = "copy"

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> tuple[int, int]:
        """Keep the size."""
        return reference.shape[0], reference.shape[1]

    def match(
        self, frame: Image, state: tuple[int, int], landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Return no motion."""
        size = frame.shape[:2]
        return Match.from_field(
            np.zeros((*size, 2), np.float32), np.full(size, NO_SCALE, np.float32), landmarks, state
        )


@dataclass(frozen=True)
class LandmarkOnly(Plain):
    """The landmark field alone (StreamEdit's F_Lwarp). Beyond its reach the picture stands still."""

    name: str = "landmark-only"

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> ClassicalReference:
        """Find landmarks and mesh of the reference."""
        return prepare(reference, landmarks)

    def match(
        self, frame: Image, state: ClassicalReference, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Warp by the mesh's triangles, extended beyond the face."""
        size = (frame.shape[0], frame.shape[1])
        region = choose_region(landmarks, size, None)
        if landmarks is None or state.face is None:
            values = still_field(region, state, size, GRID)
            validity = np.zeros((GRID, GRID), np.float32)
        else:
            face = landmark_field(landmarks, state.face, region)
            values, validity = face.field, face.validity
        scale = (1 - validity) * 2  # the mesh's own uncertainty, natural log of cells
        outer = coarse_field(frame, state.coarse).patch
        return assemble(np.dstack([values, scale]).astype(np.float32), region, outer, state, landmarks, size)


@dataclass(frozen=True)
class Dis(Plain):
    """OpenCV's DIS flow between the full-size pictures. Its uncertainty is the forward-backward cycle."""

    name: str
    preset: int
    _flow: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_flow", cv2.DISOpticalFlow.create(self.preset))

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Image:
        """Compute the luma of the reference."""
        return gray_of(reference)

    def match(self, frame: Image, state: Image, landmarks: Landmarks | None, previous: Match | None) -> Match:
        """Compute the flow in both directions."""
        gray = gray_of(frame)
        forward, backward = self._flow.calc(gray, state, None), self._flow.calc(state, gray, None)
        y, x = np.mgrid[: gray.shape[0], : gray.shape[1]].astype(np.float32)
        back = cv2.remap(
            backward,
            x + forward[..., 0],
            y + forward[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cycle = np.linalg.norm(forward + back, axis=-1)
        return Match.from_field(forward, np.log(0.1 + 0.5 * cycle).astype(np.float32), landmarks)


@dataclass(frozen=True)
class OfMatcher(Plain):
    """A matcher of the package."""

    name: str
    matcher: Matcher

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> Prepared:
        """Run the matcher's slow part."""
        return self.matcher.prepare(reference, landmarks)

    def match(
        self, frame: Image, state: Prepared, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Run the matcher's fast part."""
        return self.matcher.match(frame, state, previous, landmarks)


def match_window(method: Method, frame: Image, state: Any, landmarks: Landmarks | None, window: Box) -> Match:
    """Match a frame of which only a window is needed, (x0, y0, x1, y1) in pixels.

    A matcher of the package is told the window, as in live use. Other methods match the whole frame.
    """
    if isinstance(method, OfMatcher):
        return method.matcher.match(frame, state, None, landmarks, window=window)
    return method.match(frame, state, landmarks, None)


@dataclass(frozen=True)
class OfNetwork(Plain):
    """One size of the network."""

    name: str
    matcher: NetworkMatcher

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> NetworkReference:
        """Run the matcher's slow part."""
        return self.matcher.prepare(reference, landmarks)

    def match(
        self, frame: Image, state: NetworkReference, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Run the matcher's fast part."""
        return self.matcher.match(frame, state, previous, landmarks)


@dataclass(frozen=True)
class StreamEditStyle(OfNetwork):
    """Livery's network with StreamEdit's uncertainty (the scale of Eq. 2) and composition (replacement).

    The scale of Eq. 2 is of colours, ln of [0, 1]. Beyond the network's region, where it predicts nothing, it
    is set to the minimiser of Eq. 2, the local mean difference of the pictures. Coverage needs pixels, so the
    scale is converted by the one factor that suits it best on each pair, which favours it.
    """

    mode: Mode = "replace"

    def match(
        self, frame: Image, state: NetworkReference, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Return the network's field, with the scale of Eq. 2 as log_b."""
        match = self.matcher.match(frame, state, previous, landmarks)
        outer, inner = match.patches
        if match.said is None:
            raise ValueError(
                "StreamEdit's scale needs a network step on every frame: use a matcher of every=1"
            )
        warped = warp_image(state.image, match.field)
        apart = cv2.blur(cv2.absdiff(frame, warped).astype(np.float32).mean(axis=2) / 255, (9, 9))
        x0, y0, x1, y1 = outer.box
        side = outer.values.shape[1], outer.values.shape[0]
        padded = cv2.copyMakeBorder(
            apart, -y0, y1 - frame.shape[0], -x0, x1 - frame.shape[1], cv2.BORDER_REPLICATE
        )
        residual = cv2.resize(padded, side, interpolation=cv2.INTER_AREA)
        patches = (
            _with_scale(outer, np.log(residual + np.float32(1e-3))),
            _with_scale(inner, enlarge(match.said.log_sigma[0])),
        )
        return Match(patches, landmarks, match.frame_size, match.reference_size)

    def scale_offset(self, error: FloatAny, log_b: FloatAny) -> float:
        """Log of the factor from colours to pixels: maximum likelihood of a Laplace law."""
        return float(np.log(np.mean(error / np.exp(log_b)[:, None])))


def _with_scale(patch: Patch, log_b: Float) -> Patch:
    return Patch(np.dstack([patch.values[..., :2], log_b]).astype(np.float32), patch.box, patch.feather)


@dataclass(frozen=True)
class CandidatesOnly:
    """A runner whose network may weigh the candidates but adds nothing of its own."""

    runner: Runner

    def prepare(self, image: Image) -> Tables:
        """See `Runner`."""
        return self.runner.prepare(image)

    def encode(self, image: Image) -> Any:
        """See `Runner`."""
        return self.runner.encode(image)

    def step(self, seen: Any, tables: Tables, proposal: Proposal) -> NetworkAnswer:
        """Return the weights without the network's own share, and their mean of the candidates."""
        said = self.runner.step(seen, tables, proposal)
        shares = said.weights[1:] / np.maximum(said.weights[1:].sum(axis=0), 1e-6)
        mean = (shares[:, None] * proposal.candidates).sum(axis=0)
        return replace(said, field=mean, weights=np.concatenate([0 * said.weights[:1], shares]))


@dataclass(frozen=True)
class WithoutLandmarks(OfNetwork):
    """The network without FaceMesh: StreamEdit's ablation of its landmark-guided warp."""

    def prepare(self, reference: Image, landmarks: Landmarks | None) -> NetworkReference:
        """Prepare as if no face had been found."""
        return self.matcher.prepare(reference, None)

    def match(
        self, frame: Image, state: NetworkReference, landmarks: Landmarks | None, previous: Match | None
    ) -> Match:
        """Match as if no face had been found."""
        return self.matcher.match(frame, state, previous, None)


def baselines() -> list[Method]:
    """Return the rows without weights, fastest first."""
    return [
        Copy(),
        LandmarkOnly(),
        Dis("DIS ultrafast", cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST),
        Dis("DIS medium", cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
        OfMatcher("classical", Matcher.load("classical")),
        OfMatcher("thorough", Matcher.load("thorough")),
    ]


def models(folders: Sequence[Path] = ()) -> list[tuple[str, Model]]:
    """Return shipped compact sizes, largest first, and models in `folders`, with their rows' names."""
    files = GRAPHS
    shipped = [(f"ours {m.size}", m) for m in shipped_models("compact", files)]
    return shipped + [(f"{p.parent.name}/{p.name}", open_model(p, None, files)) for p in folders]


def network(model: Model) -> NetworkMatcher:
    """Make a matcher of one model that uses the network on every frame."""
    return NetworkMatcher(OnnxRunner(model), model)


def factories(folders: Sequence[Path] = ()) -> dict[str, Callable[[], Method]]:
    """Return a factory of every row by name, in the table's order.

    Args:
        folders: of models beside the shipped ones.
    """
    rows: dict[str, Callable[[], Method]] = {m.name: lambda m=m: m for m in baselines()}  # type: ignore[misc]
    named = models(folders)
    rows[STREAM_EDIT] = lambda: StreamEditStyle(STREAM_EDIT, network(named[0][1]))
    for name, model in named:
        rows[name] = lambda name=name, model=model: OfNetwork(name, network(model))  # type: ignore[misc]
    return rows


def find(name: str, folders: Sequence[Path] = ()) -> Method:
    """Return a row by its name.

    Raises:
        ValueError: there is no such row.
    """
    rows = factories(folders)
    if name not in rows:
        raise ValueError(f"no row is called {name!r}: choose from {', '.join(rows)}")
    return rows[name]()


def ablations(name: str, model: Model) -> list[Method]:
    """Return the whole network, then the network without one part at a time, as in StreamEdit's Table 3."""
    runner = OnnxRunner(model)
    whole = NetworkMatcher(runner, model)
    plain = replace(model, judge=own_word())
    return [
        OfNetwork(name, whole),
        WithoutLandmarks(f"{name}, no landmarks", whole),
        OfNetwork(f"{name}, candidates only", NetworkMatcher(CandidatesOnly(runner), model)),
        OfNetwork(f"{name}, its own log_b", NetworkMatcher(runner, plain)),
    ]
