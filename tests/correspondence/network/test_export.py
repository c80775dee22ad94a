"""Both runtimes must say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from correspondence import Matcher
from correspondence.network.checkpoints import load_network, open_model
from correspondence.network.encoder import DINOV2, DinoEncoder, load_vit
from correspondence.network.export import OUTPUTS, example_inputs, export_model, fix_size
from correspondence.network.model import SIZES, Network, ReferenceFeatures
from tests.correspondence.material import SMALL_VIT, checker, tiny_network, write_small_vit


def run_onnx(folder: Path, inputs: tuple[torch.Tensor, ...], graph: str) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / graph), options, ["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    said: list[np.ndarray] = session.run(None, {n: i.numpy() for n, i in zip(names, inputs, strict=True)})
    return said


def differences(network: Network, folder: Path) -> dict[str, float]:
    inputs = example_inputs(network)
    with torch.no_grad():
        wanted = network(inputs[0], ReferenceFeatures(*inputs[1:7]), *inputs[7:])
    seen = [torch.from_numpy(f) for f in run_onnx(folder, inputs[:1], "encode.onnx")]
    said = run_onnx(folder, (*seen, *inputs[1:]), "frame.onnx")
    return {
        n: float(np.abs(s - getattr(wanted, n).numpy()).max()) for n, s in zip(OUTPUTS, said, strict=True)
    }


def test_torch_and_onnx_runtime_agree(tmp_path: Path) -> None:
    export_model(tiny_network(), tmp_path, size="tiny")
    network = load_network(tmp_path)
    apart = differences(network, tmp_path)
    assert apart["field"] <= 1e-3  # pixels
    assert max(apart.values()) <= 1e-3
    image = example_inputs(network)[0]
    with torch.no_grad():
        kept = network.prepare(image)
    for wanted, said in zip(kept, run_onnx(tmp_path, (image,), "prepare.onnx"), strict=True):
        assert np.abs(said - wanted.numpy()).max() <= 1e-3


def test_weights_are_kept_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    from correspondence.network.encoder import build_encoder

    network = Network(SIZES["xs2"], build_encoder("compact", SIZES["xs2"].encoder))
    export_model(network.eval(), tmp_path, size="xs2")
    count = sum(p.numel() for p in network.parameters())
    assert (tmp_path / "state.pt").stat().st_size < 2.2 * count
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 6e6
    assert differences(load_network(tmp_path), tmp_path)["field"] <= 1e-3


def test_dinov2_exports_and_runs(tmp_path: Path) -> None:
    vit = load_vit(DINOV2, write_small_vit(tmp_path / "vit.safetensors", DINOV2), **SMALL_VIT)
    network = Network(SIZES["tiny"], DinoEncoder(SIZES["tiny"].encoder, vit)).eval()
    export_model(network, tmp_path / "model", size="tiny", kind="dinov2", encoder_model=DINOV2)
    fixed = fix_size(network)
    saved = torch.load(tmp_path / "model" / "state.pt", weights_only=True)["state"]
    fixed.load_state_dict({k: v.float() for k, v in saved.items()}, strict=False)
    assert differences(fixed, tmp_path / "model")["field"] <= 1e-2  # pixels; patch grid 18 x 18
    assert open_model(tmp_path / "model").kind == "dinov2"
    matcher = Matcher.load("dinov2", weights=tmp_path / "model")
    picture = checker()
    match = matcher.match(picture, matcher.prepare(picture, None), None, None)
    assert matcher.kind == "dinov2"
    assert np.abs(match.field).mean() < 2  # an untrained head


def test_fixing_the_size_changes_nothing_ours() -> None:
    network = tiny_network()
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        one, two = network.prepare(image), fix_size(network).prepare(image)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_examples_fit_the_graph(batch: int) -> None:
    inputs = example_inputs(tiny_network(), batch)
    assert [i.shape[0] for i in inputs] == [batch] * 9
