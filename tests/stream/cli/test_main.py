"""The command line: exit codes, one-line errors, quick help."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from correspondence.matcher import KINDS
from reference import MODES
from stream.cli import doctor, modules
from stream.cli import main as cli
from stream.cli.main import main
from stream.cli.options import TRAININGS, parser
from stream.config import ServerConfig
from stream.errors import StartError
from tests.conftest import ENTRY, ROOT
from tests.stream.clips import Clip, cut, make_clip, painted_frame, read_back

VERBS = ("serve", "demo", "edit", "reference", "bench", "train", "doctor")


def livery(*arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [*ENTRY, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_help_is_quick_and_names_every_verb() -> None:
    before = os.times()
    shown = livery("--help")
    after = os.times()
    assert shown.returncode == 0
    assert all(f"\n    {verb}" in shown.stdout for verb in VERBS)
    spent_s = after.children_user - before.children_user + after.children_system - before.children_system
    assert spent_s < 1.0  # MediaPipe alone takes more


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from stream.cli.main import RUNS, parser; parser(RUNS)[0].format_help();"
        "print({'mediapipe', 'cv2', 'av', 'aiortc', 'aiohttp', 'numpy', 'scipy', 'skimage', 'PIL',"
        "'matplotlib', 'onnxruntime', 'psutil', 'torch'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_a_name_that_the_console_cannot_show_is_escaped() -> None:
    """As with an older code page of Windows."""
    command = [*ENTRY, "edit", "\u4f60\u597d.mp4", "--preset", "lipstick", "-o", "out.mp4"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "\\u4f60\\u597d.mp4" in done.stderr
    assert "UnicodeEncodeError" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert f"usage: livery {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["edit"],
        ["edit", "in.mp4", "--edited", "e.png", "-o", "o.mp4", "--mode", "magic"],
        ["serve", "--udp-ports", "50000"],
        ["serve", "--bitrate", "fast"],
        ["train", "nothing"],
    ],
)
def test_wrong_usage_leaves_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "livery" in capsys.readouterr().err


def test_edit_writes_the_clip_and_its_report(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=10, audio="aac"))
    picture = painted_frame(clip, 2, tmp_path / "edited.png")
    out, report = tmp_path / "out.mp4", tmp_path / "report.json"
    ran = livery(
        "edit", clip, "--edited", picture, "--reference", "2", "--matcher", "classical", "-o", out,
        "--report", report, "--progress",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert f"{out}: 10 frames, 10 edited" in ran.stdout
    assert "frame 2 (0.08 s), as asked" in ran.stdout
    assert "editing: 100%" in ran.stderr
    assert "frame/s" in ran.stderr
    assert "W0000" not in ran.stderr  # what MediaPipe would log
    assert json.loads(report.read_text())["frames"] == len(read_back(out).times) == 10


def test_no_progress_where_stderr_is_no_terminal(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=4))
    ran = livery("reference", clip, "-o", tmp_path / "ref.png")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "the best: score" in ran.stdout


def bad_input(tmp_path: Path) -> list[str]:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=4))
    (tmp_path / "cut.mp4").write_bytes(cut(clip, 0.5))
    (tmp_path / "edited.png").write_bytes(b"no picture")
    return [
        "edit",
        str(tmp_path / "cut.mp4"),
        "--edited",
        str(tmp_path / "edited.png"),
        "-o",
        str(tmp_path / "o.mp4"),
    ]


def test_bad_input_leaves_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(bad_input(tmp_path)) == 2
    said = capsys.readouterr().err
    assert said.startswith("livery: ")
    assert "cut.mp4: the recording was not finished" in said
    assert said.count("\n") == 1


def test_a_missing_cuda_device_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*bad_input(tmp_path), "--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert "finds no CUDA device" in said
    assert "--device cpu" in said
    assert "cut.mp4" not in said  # nothing was opened


def test_crf_with_a_lossless_codec_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*bad_input(tmp_path), "--codec", "ffv1", "--crf", "3"]) == 2
    assert "no meaning for ffv1" in capsys.readouterr().err


def test_verbose_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*bad_input(tmp_path), "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_taken_report_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", Clip(frames=2))
    picture = painted_frame(clip, 0, tmp_path / "edited.png")
    arguments = ["edit", str(clip), "--edited", str(picture), "-o", str(tmp_path / "o.mp4")]
    assert main([*arguments, "--report", str(picture)]) == 2
    assert main([*arguments, "--report", str(tmp_path / "no" / "r.json")]) == 2
    assert main([*arguments, "--overwrite", "--report", str(tmp_path)]) == 2
    assert main([*arguments, "--report", "/proc/r.json"]) == 2  # not even for root
    said = capsys.readouterr().err
    assert "name of its own" in said
    assert "no folder" in said
    assert f"{tmp_path}: is a folder" in said
    assert "/proc/r.json: cannot be written" in said
    assert not (tmp_path / "o.mp4").exists()


def test_a_failure_inside_leaves_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(args: argparse.Namespace) -> int:
        raise RuntimeError("the wheel came off")

    monkeypatch.setitem(cli.RUNS, "doctor", broken)
    assert main(["doctor"]) == 1
    assert "RuntimeError: the wheel came off (--verbose shows where)" in capsys.readouterr().err


def test_train_without_a_name_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 0
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert list(told) == sorted(TRAININGS)
    assert told["cover"] == "Training of the cover network"


def test_serve_takes_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    app: Any = ModuleType("stream.http.app")
    served: list[Any] = []
    app.serve = served.append
    monkeypatch.setitem(sys.modules, "stream.http.app", app)
    arguments = (
        "--port 0 --token 12345678 --udp-ports 50000-50100 --public-address 203.0.113.7 --bitrate 1.5M"
    )
    limits = ["--max-sessions", "3", "--opens-per-minute", "7", "--failures-per-minute", "5"]
    assert (
        main(["serve", *arguments.split(), *limits, "--no-store", "--matcher", "classical", "--no-keyframes"])
        == 0
    )
    assert main(["demo"]) == 0
    first, second = served
    assert (first.port, first.token, first.udp_ports) == (0, "12345678", (50000, 50100))
    assert (first.public_address, first.bitrate_bps, first.max_sessions) == ("203.0.113.7", 1_500_000, 3)
    assert (first.opens_per_minute, first.failures_per_minute) == (7, 5)
    assert (first.matcher, first.demo, first.host) == ("classical", False, "127.0.0.1")
    assert (second.demo, second.port) == (True, ServerConfig().port)
    assert ServerConfig().port == 8000  # as README says
    assert (first.keyframes, second.keyframes) == (False, None)


def test_choices_are_the_packages_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["edit", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert ", ".join(KINDS) in told
    assert ", ".join(MODES).replace("layer", "object") in told, "as the page calls it"
    read = parser(cli.RUNS)[1]["edit"].parse_args
    clip = ["in.mp4", "--edited", "in.png", "-o", "out.mp4", "--mode"]
    assert [read([*clip, name]).mode for name in ("object", "layer", "delta")] == ["layer", "layer", "delta"]
    with pytest.raises(SystemExit):
        main(["edit", "in.mp4", "--edited", "in.png", "-o", "out.mp4", "--matcher", "best"])
    assert "choose from 'auto', 'classical'" in capsys.readouterr().err


def test_serve_names_the_value_out_of_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "99999", "--no-store"]) == 2
    assert "99999" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--record", "{file}/below"], "nothing can be recorded in"),
        (["--record", "{file}"], "nothing can be recorded in"),
        (["--no-keyframes", "--fill-weights", "{folder}"], "fill_weights needs keyframes or record"),
        (["--fill-weights", "{folder}/none"], "no diffusion weights at"),
    ],
)
def test_serve_refuses_what_it_could_not_use(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def listen(*anything: object) -> int:
        raise StartError("it began to serve")

    monkeypatch.setattr("stream.http.running._listen", listen)
    file = tmp_path / "file"
    file.touch()
    named = [each.format(file=file, folder=tmp_path) for each in arguments]
    assert main(["serve", "--port", "0", "--no-store", "--matcher", "classical", *named]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_bench_lists_and_hands_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: Any = ModuleType("benchmarks.made")
    made.configure = lambda parser: parser.add_argument("--rounds", type=int)
    made.run = lambda args: args.rounds
    monkeypatch.setitem(sys.modules, "benchmarks.made", made)
    monkeypatch.setattr(modules, "benchmarks_here", lambda: {"made": "what it does"})
    assert main(["bench"]) == 0
    assert capsys.readouterr().out == "made  what it does\n"
    assert main(["bench", "made", "--rounds", "7"]) == 7
    assert main(["bench", "other"]) == 2
    assert "no benchmark 'other'; there are made" in capsys.readouterr().err


def test_bench_knows_the_benchmarks_that_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert told["quality"].startswith("fields on real clips and on pairs with known truth")
    assert "common" not in told
    assert all(len(words) > 20 for words in told.values()), "each says what it does"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("matcher", "correspondence.training.train"),
        ("autoencoder", "inpaint.training.autoencoder"),
        ("denoiser", "inpaint.training.denoiser"),
    ],
)
def test_train_hands_over(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec(module) is not None
    made: Any = ModuleType(module)
    made.configure = lambda parser: parser.add_argument("--steps", type=int)
    made.run = lambda args: args.steps
    monkeypatch.setitem(sys.modules, module, made)
    assert main(["train", name, "--steps", "3"]) == 3


def test_doctor_passes_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for name in ("python", "packages", "face landmarks", "matcher", "codecs", "UDP address", "system"):
        assert f"ok   {name}: " in said


def test_doctor_names_every_failed_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CODECS", ("libx264", "libnothing"))
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert "FAIL codecs: this build of PyAV has no libnothing" in said.out
    assert "FAIL UDP address" in said.out
    assert "livery: failed: codecs, UDP address" in said.err


def test_the_script_serves() -> None:
    shown = subprocess.run(
        [sys.executable, "server.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage: livery serve" in shown.stdout
