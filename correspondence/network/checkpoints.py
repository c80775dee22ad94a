"""Weights on disk: the shipped models with checksums and origin, and loading that checks them.

A model is a folder with `model.json` (kind, size, the judge of log_b, figures, sha256 of each file),
`prepare.onnx`, `encode.onnx` and `frame.onnx` for ONNX Runtime, and `state.pt` for torch. `livery train
matcher` writes a `weights.pt`, and `export.export_model` makes a folder from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from correspondence.certainty.doubt import COUNT
from correspondence.certainty.uncertainty import Judge
from correspondence.errors import WeightsError
from correspondence.weight_files import WEIGHTS, read_card

if TYPE_CHECKING:
    from correspondence.network.model import Network

GRAPHS = ("prepare.onnx", "encode.onnx", "frame.onnx")
FILES = (*GRAPHS, "state.pt")


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model that ships with the package.

    Attributes:
        name: name of its folder in `weights/`.
        kind: "compact" or "dinov2".
        size: a key of `model.SIZES`.
        licence: SPDX identifier of the weights' licence.
        origin: how the weights were made.
        manifest: sha256 of `model.json`, which contains the checksums of the files.
    """

    name: str
    kind: str
    size: str
    licence: str
    origin: str
    manifest: str


SHIPPED: tuple[Shipped, ...] = (  # largest first: the order in which the ladder tries them
    Shipped(
        name="compact-xs2",
        kind="compact",
        size="xs2",
        licence="LicenseRef-Livery-Weights",  # WEIGHTS-LICENSE: research and evaluation
        origin="`livery train matcher` on portrait clips and photos, 174 minutes on a CPU; see its README.md",
        manifest="3558463f70a22f3e08bd3d41ff943e75147531d8d3301c9a757b5018ceafd702",
    ),
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder whose files were checked.

    Attributes:
        folder: path of the folder.
        kind: "compact" or "dinov2".
        size: a key of `model.SIZES`.
        judge: converts the features of `doubt.features` to log_b.
        encoder_model: timm's name of a dinov2 encoder; "" for a compact model.
    """

    folder: Path
    kind: str
    size: str
    judge: Judge
    encoder_model: str = ""


def open_model(folder: Path, manifest: str | None = None, files: tuple[str, ...] = FILES) -> Model:
    """Read and check a model folder.

    Args:
        folder: folder with `model.json` and the model's files.
        manifest: expected sha256 of `model.json`; None accepts any.
        files: names of the files that must be present and intact.

    Raises:
        WeightsError: a file is missing or differs from its checksum, or the model is of another version.
    """
    said = read_card(folder, manifest, files)
    if "judge" not in said:
        raise WeightsError(
            f"{folder / 'model.json'} holds no judge of the network's errors: it is of another version; fit "
            f"one with `livery train matcher --refit {folder}`"
        )
    try:
        judge = Judge.read(said["judge"])
        model = Model(folder, said["kind"], said["size"], judge, said.get("encoder_model", ""))
    except (KeyError, TypeError, ValueError) as failure:
        raise WeightsError(
            f"{folder / 'model.json'} is of another version ({failure}): export it again, "
            "`livery train matcher --export`"
        ) from failure
    if judge.hidden.ndim != 2 or judge.hidden.shape[1] != COUNT + 1:
        raise WeightsError(
            f"the judge in {folder / 'model.json'} has weights of shape {judge.hidden.shape}, expected "
            f"(units, {COUNT + 1}): fit another with `livery train matcher --refit {folder}`"
        )
    return model


def shipped_models(kind: str, files: tuple[str, ...] = FILES) -> list[Model]:
    """Return the checked models of a kind that ship with the package, largest first.

    Raises:
        WeightsError: no model of the kind is shipped (the message says how to train one), or one is damaged.
    """
    found = [s for s in SHIPPED if s.kind == kind]
    if not found:
        option = " --encoder dinov2" if kind == "dinov2" else ""
        raise WeightsError(
            f"no {kind} head is shipped: train one with `livery train matcher{option} --out DIR` and load it "
            f'with Matcher.load("{kind}", weights="DIR/model")'
        )
    return [open_model(WEIGHTS / s.name, s.manifest, files) for s in found]


def find_models(kind: str, weights: str | Path | None, files: tuple[str, ...] = FILES) -> list[Model]:
    """Find the models to choose from: the shipped ones, or the one in a given folder.

    Args:
        kind: "compact" or "dinov2".
        weights: a model folder or a file in it; None for the shipped models.
        files: names of the files that must be present and intact.

    Raises:
        WeightsError: a model is missing, damaged or of another kind.
    """
    if weights is None:
        return shipped_models(kind, files)
    folder = Path(weights)
    model = open_model(folder if folder.is_dir() else folder.parent, None, files)
    if model.kind != kind:
        raise WeightsError(
            f'{folder} holds a {model.kind} matcher, expected {kind}: load it with load("{model.kind}")'
        )
    return [model]


def load_network(source: str | Path, encoder_weights: Path | None = None) -> Network:
    """Load a torch network with trained weights.

    Args:
        source: "compact" for the largest shipped model, a model folder, or a `weights.pt` from training.
        encoder_weights: local file of a dinov2 encoder; None downloads it from the hub.

    Raises:
        WeightsError: the weights are missing, damaged, or do not fit the network.
    """
    return network_from(read_state(state_file(source)), encoder_weights)


def state_file(source: str | Path) -> Path:
    """Return the checked file of weights for "compact", a model folder or a `weights.pt`.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if str(source) == "compact":
        return shipped_models("compact", ("state.pt",))[0].folder / "state.pt"
    path = Path(source)
    if not path.is_dir():
        return path
    read_card(path, None, ("state.pt",))
    return path / "state.pt"


def read_state(path: Path) -> dict[str, Any]:
    """Read a `state.pt` or `weights.pt`: state, size, encoder, encoder_model, steps.

    Raises:
        WeightsError: the file is missing or no such file.
    """
    import pickle

    import torch

    if not path.is_file():
        raise WeightsError(f'no weights at {path}: give "compact", a model folder or a weights.pt')
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as failure:
        raise WeightsError(f"{path} is no file of weights torch can read: {failure}") from failure
    missing = {"state", "size", "encoder"} - set(saved if isinstance(saved, dict) else ())
    if missing:
        raise WeightsError(f"{path} holds no matcher: {', '.join(sorted(missing))} missing")
    return saved


def network_from(saved: dict[str, Any], encoder_weights: Path | None = None) -> Network:
    """Make the network from the result of `read_state`.

    The weights of a dinov2 transformer come from `encoder_weights` or the hub.

    Raises:
        WeightsError: the weights do not fit the network.
    """
    from correspondence.network.encoder import DINOV2, build_encoder
    from correspondence.network.model import SIZES, Network

    if saved["size"] not in SIZES:
        raise WeightsError(f"weights of unknown size {saved['size']!r}, expected one of {', '.join(SIZES)}")
    sizes = SIZES[saved["size"]]
    encoder = build_encoder(
        saved["encoder"], sizes.encoder, weights=encoder_weights, model=saved.get("encoder_model") or DINOV2
    )
    network = Network(sizes, encoder)
    state = {k: v.float() if v.is_floating_point() else v for k, v in saved["state"].items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as failure:
        raise WeightsError(f"weights do not fit the {saved['size']} network: {failure}") from failure
    absent = [name for name in missing if ".vit." not in name]
    if absent or unexpected:
        raise WeightsError(
            f"weights do not fit the {saved['size']} network: {absent[:3]} missing, {unexpected[:3]} too many"
        )
    return network.eval()
