"""The network matcher behind the common interface."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from correspondence import Image, Landmarks, Matcher, WeightsError, confidence
from correspondence.certainty.doubt import COUNT, OWN, own_word
from correspondence.certainty.uncertainty import Judge
from correspondence.geometry.region import GRID, ideal_region
from correspondence.network.checkpoints import Model, load_network, open_model
from correspondence.network.export import export_model
from correspondence.network.fine import NetworkAnswer, enlarge, reblend
from correspondence.network.propose import Past, Proposal, propose, shrink, temporal
from correspondence.network.runtime import NetworkMatch, NetworkMatcher, OnnxRunner, climb, measure
from correspondence.network.torch_runtime import Batching, TorchRunner, parity
from correspondence.training.calibrate_network import look
from tests.correspondence.material import checker, demo_clip, moved, tiny_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model"
    export_model(tiny_network(wild=False), path, size="tiny")
    return path


@pytest.fixture(scope="module")
def matcher(folder: Path) -> NetworkMatcher:
    model = open_model(folder)
    return NetworkMatcher(OnnxRunner(model, threads=1), model)


def faces() -> tuple[Image, Landmarks, Image, Landmarks]:
    clip = demo_clip()
    size = (GRID, GRID)
    return (
        clip.frames[0],
        Landmarks(clip.points[0].copy(), size),
        clip.frames[2],
        Landmarks(clip.points[2].copy(), size),
    )


def test_a_frame_with_a_face_is_matched(matcher: NetworkMatcher) -> None:
    reference, there, frame, here = faces()
    match = matcher.match(frame, matcher.prepare(reference, there), None, here)
    assert match.field.shape == (GRID, GRID, 2)
    assert match.field.dtype == match.log_b.dtype == np.float32
    assert np.isfinite(match.field).all()
    warped = cv2.remap(reference, _at(match.field), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    before = np.abs(reference.astype(float) - frame).mean()
    assert np.abs(warped.astype(float) - frame).mean() < 0.6 * before
    seen = confidence(match, 3.0)
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_without_a_face_it_still_matches(matcher: NetworkMatcher) -> None:
    reference = checker()
    field = np.zeros((GRID, GRID, 2), np.float32)
    field[..., 1] = 7
    match = matcher.match(moved(reference, field), matcher.prepare(reference, None), None, None)
    inner = match.field[60:-60, 60:-60]
    assert match.landmarks is None
    assert np.abs(inner - (0, 7)).mean() < 2.5


def test_a_picture_of_any_size_is_matched(matcher: NetworkMatcher) -> None:
    frame = cv2.resize(checker(), (400, 224))
    match = matcher.match(frame, matcher.prepare(frame, None), None, None)
    assert match.field.shape == (224, 400, 2)
    assert np.abs(match.field).mean() < 2


def test_the_last_match_helps_and_none_is_held(matcher: NetworkMatcher) -> None:
    reference, there, frame, here = faces()
    prepared = matcher.prepare(reference, there)
    first = matcher.match(frame, prepared, None, here)
    second = matcher.match(frame, prepared, first, here)
    again = matcher.match(frame, prepared, None, here)
    assert second.region == first.region
    assert np.array_equal(first.field, again.field)  # nothing was remembered inside
    other = matcher.prepare(reference, there)
    assert np.array_equal(
        matcher.match(frame, other, first, here).field, first.field
    )  # another reference's past


def test_threads_share_a_matcher(matcher: NetworkMatcher) -> None:
    reference, there, frame, here = faces()
    prepared = matcher.prepare(reference, there)
    wanted = matcher.match(frame, prepared, None, here).field
    said: list[Any] = []
    jobs = [
        threading.Thread(target=lambda: said.append(matcher.match(frame, prepared, None, here).field))
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(said) == 4
    assert all(np.allclose(field, wanted, atol=1e-4) for field in said)


def test_every_second_frame_is_carried_over(folder: Path) -> None:
    model = open_model(folder)
    runner = CountingRunner(OnnxRunner(model, threads=1))
    matcher = NetworkMatcher(runner, model, every=2)
    reference, there, frame, here = faces()
    prepared = matcher.prepare(reference, there)
    match: NetworkMatch | None = None
    for _ in range(4):
        match = matcher.match(frame, prepared, match, here)
    assert runner.steps == 2
    assert matcher.size == "tiny/2"
    assert match is not None
    assert match.said is None
    whole = matcher.match(frame, prepared, None, here)
    assert np.abs(match.field - whole.field).mean() < 1


class CountingRunner:
    def __init__(self, runner: OnnxRunner) -> None:
        self.runner, self.steps = runner, 0
        self.prepare, self.encode = runner.prepare, runner.encode

    def step(self, *arguments: Any) -> NetworkAnswer:
        self.steps += 1
        return self.runner.step(*arguments)


class Clock:
    """Every step of the network takes this long."""

    def __init__(self, step_s: float) -> None:
        self.step_s, self.now, self.calls = step_s, 0.0, 0

    def __call__(self) -> float:
        self.calls += 1
        self.now += self.step_s if self.calls % 2 == 0 else 0.0
        return self.now


@pytest.mark.parametrize(
    ("step_s", "size", "every"),
    [((0.005, 0.005), "s2", 1), ((0.040, 0.010), "xs2", 1), ((0.040, 0.030), "xs2", 2)],
)
def test_the_ladder_takes_the_largest_size_that_is_fast_enough(
    step_s: tuple[float, float], size: str, every: int, folder: Path
) -> None:
    models = [Model(folder, "compact", name, own_word()) for name in ("s2", "xs2")]
    clock = Clock(step_s[0])

    def start(model: Model) -> OnnxRunner:
        clock.step_s = step_s[0] if model.size == "s2" else step_s[1]
        return OnnxRunner(model, threads=1)

    _, model, shared = climb(models, start, budget_s=0.016, clock=clock)
    assert (model.size, shared) == (size, every)


def test_a_slow_clock_is_measured(folder: Path) -> None:
    assert measure(OnnxRunner(open_model(folder), threads=1), Clock(0.25)) == pytest.approx(0.25)


def test_torch_says_what_onnx_runtime_says(folder: Path) -> None:
    model = open_model(folder)
    torch_runner, onnx_runner = TorchRunner(model, "cpu"), OnnxRunner(model, threads=1)
    reference, _, frame, _ = faces()
    gray = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in (frame, reference)]
    proposal = propose(gray[0], gray[1], np.zeros((GRID, GRID, 2), np.float32))
    one = onnx_runner.step(onnx_runner.encode(frame), onnx_runner.prepare(reference), proposal)
    two = torch_runner.step(frame, torch_runner.prepare(reference), proposal)
    for name in NetworkAnswer.__slots__:
        assert np.abs(getattr(one, name) - getattr(two, name)).max() <= 1e-3, name


def test_sessions_are_batched(folder: Path) -> None:
    network = load_network(folder)
    runner = TorchRunner.of(network, "cpu")
    reference, _, frame, _ = faces()
    gray = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in (frame, reference)]
    still = np.zeros((GRID, GRID, 2), np.float32)
    jobs = [
        (frame, runner.prepare(reference), propose(gray[0], gray[1], still)),
        (reference, runner.prepare(frame), propose(gray[1], gray[0], still)),
    ]
    together = runner.step_many(jobs)
    for job, said in zip(jobs, together, strict=True):
        assert np.abs(runner.step(*job).field - said.field).max() <= 1e-3
    assert parity(network, runner) <= 1e-4
    with pytest.raises(ValueError, match="at least one frame"):
        runner.step_many([])


def test_threads_that_wait_are_served_together() -> None:
    entered, go = threading.Event(), threading.Event()
    sizes: list[int] = []

    class Slow:
        def step_many(self, jobs: list[Any]) -> list[Any]:
            sizes.append(len(jobs))
            entered.set()
            assert go.wait(10)
            return [image for image, _, _ in jobs]

    batching = Batching(Slow(), most=3)  # type: ignore[arg-type]
    said: dict[int, Any] = {}
    nothing: Any = None

    def ask(number: Any) -> None:
        said[number] = batching.step(number, (), nothing)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(5)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(batching._waiting) < 4:
        threading.Event().wait(0.01)
    go.set()
    for thread in threads:
        thread.join(10)
    assert said == {i: i for i in range(5)}
    assert sizes == [1, 3, 1]


def test_a_failed_batch_fails_for_each_of_its_threads() -> None:
    class Broken:
        def step_many(self, jobs: list[Any]) -> list[Any]:
            raise RuntimeError("out of memory")

    batching = Batching(Broken())  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            batching.step(checker(), (), Proposal(np.zeros(1, np.float32), np.zeros(1, np.float32), ()))
    with pytest.raises(ValueError, match="most=0"):
        Batching(Broken(), most=0)  # type: ignore[arg-type]


def test_without_a_judge_log_b_is_the_networks_own(matcher: NetworkMatcher) -> None:
    reference, there, frame, here = faces()
    match = matcher.match(frame, matcher.prepare(reference, there), None, here)
    assert match.said is not None
    np.testing.assert_allclose(match.values[..., 2], enlarge(match.said.log_b[0]), atol=1e-3)


def test_a_judge_weighs_what_it_was_fitted_for(folder: Path) -> None:
    """One that looks at the network's word for what is hidden alone doubts just that."""
    weights = np.zeros((1, COUNT + 1), np.float32)
    weights[0, 1] = 1
    ends = np.array([0, 10], np.float32)
    model = replace(open_model(folder), judge=Judge(weights, np.array([1, 0], np.float32), ends, ends))
    matcher = NetworkMatcher(OnnxRunner(model, threads=1), model)
    reference, there, frame, here = faces()
    match = matcher.match(frame, matcher.prepare(reference, there), None, here)
    assert match.said is not None
    hidden = np.logaddexp(0, -match.said.visibility[0])
    np.testing.assert_allclose(match.values[..., 2], enlarge(hidden), atol=1e-3)


def test_evidence_tells_of_the_final_field(folder: Path) -> None:
    """The way there and back closes where the flow back agrees; not where something covers the frame."""
    reference, there, frame, here = faces()
    covered = frame.copy()
    covered[96:160, 96:160] = checker(64, 3)
    runner = OnnxRunner(open_model(folder), threads=1)
    region = ideal_region(here, (GRID, GRID))
    seen, hidden = (look(runner, picture, here, reference, there) for picture in (frame, covered))
    assert len(seen.features) == COUNT
    middle = (region.to_grid(np.array([[128, 128]], np.float32)) / 4).astype(int)[0]
    box = np.s_[middle[1] - 4 : middle[1] + 4, middle[0] - 4 : middle[0] + 4]
    for name, place in (("cycle", OWN), ("residual", OWN + 1)):
        assert hidden.features[place][box].mean() > seen.features[place][box].mean() + 0.5, name


def test_a_blend_keeps_the_fine_structure_of_its_candidates(rng: np.random.Generator) -> None:
    """A network that chose the landmark field and added one cell hands out that field and a cell."""
    fields = tuple(rng.normal(0, 3, (GRID, GRID, 2)).astype(np.float32) for _ in range(5))
    candidates = np.stack([shrink(f) for f in fields]).transpose(0, 3, 1, 2)
    weights = np.zeros((6, 64, 64), np.float32)
    weights[1] = 1
    nothing = np.zeros((1, 64, 64), np.float32)
    said = NetworkAnswer(
        candidates[0] + 1, nothing, nothing, nothing, np.zeros((3, 32, 32), np.float32), weights
    )
    field = reblend(said, Proposal(candidates, np.ones((3, 64, 64), np.float32), fields))
    assert np.allclose(field, fields[0] + 1, atol=1e-4)


def test_the_temporal_candidate_follows_the_motion() -> None:
    image = checker()
    step = np.zeros((GRID, GRID, 2), np.float32)
    step[..., 0] = 3  # the frame shows what was 3 cells to the right
    gray = cv2.cvtColor(moved(image, step), cv2.COLOR_RGB2GRAY)
    before = np.full((GRID, GRID, 2), 5, np.float32)
    field, steady = temporal(gray, Past(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), before))
    inner = field[40:-40, 40:-40]
    assert np.abs(inner - (8, 5)).mean() < 0.4
    assert steady[40:-40, 40:-40].mean() > 0.8


def test_devices_and_kinds_are_checked(folder: Path) -> None:
    with pytest.raises(ValueError, match='"cpu" or "cuda", got \'tpu\''):
        NetworkMatcher.load("compact", device="tpu", weights=folder)
    with pytest.raises(WeightsError, match="livery train matcher --encoder dinov2"):
        Matcher.load("dinov2")
    assert Matcher.load("compact", weights=folder).kind == "compact"


def test_an_output_that_is_not_finite_is_refused_and_leaves_nothing(folder: Path) -> None:
    class Breaking(OnnxRunner):
        broken = ""  # name of the map that holds NaN

        def step(self, *given: Any) -> NetworkAnswer:
            said = super().step(*given)
            if self.broken:
                values = getattr(said, self.broken).copy()
                values[0, 3, 4] = np.nan
                return replace(said, **{self.broken: values})
            return said

    model = open_model(folder)
    runner = Breaking(model, threads=1)
    matcher = NetworkMatcher(runner, model)
    reference, there, frame, here = faces()
    prepared = matcher.prepare(reference, there)
    first = matcher.match(frame, prepared, None, here)
    for each in fields(NetworkAnswer):
        runner.broken = each.name
        with pytest.raises(FloatingPointError, match=f"{each.name} has 1 of"):
            matcher.match(frame, prepared, first, here)
    runner.broken = ""
    assert np.isfinite(matcher.match(frame, prepared, first, here).log_b).all()


def _at(field: np.ndarray) -> np.ndarray:
    grid = np.stack(np.meshgrid(np.arange(field.shape[1]), np.arange(field.shape[0])), axis=2)
    return np.asarray(grid + field, np.float32)
