"""The verbs that run a module of benchmarks or trainings, which brings options of its own."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from stream.cli.device import check_device
from stream.cli.exits import OK, UsageError
from stream.cli.options import TRAININGS


def bench(args: argparse.Namespace) -> int:
    """Run a benchmark, or list them."""
    names = benchmarks_here()
    if args.name is None:
        _print_list(names)
        return OK
    if args.name not in names:
        raise UsageError(f"no benchmark {args.name!r}; there are {', '.join(names)}")
    return hand_over(args, f"benchmarks.{args.name}")


def _print_list(summaries: Mapping[str, str]) -> None:
    widest = max(map(len, summaries))
    print("\n".join(f"{name:{widest}}  {said}" for name, said in summaries.items()))


def benchmarks_here() -> dict[str, str]:
    """List the modules of `benchmarks` that can be run, and what each does, without importing them."""
    import benchmarks

    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        path = Path(benchmarks.__path__[0]) / f"{module.name}.py"
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        if "\ndef configure(" in source:
            found[module.name] = _summary(ast.get_docstring(ast.parse(source)))
    return dict(sorted(found.items()))


def _summary(docstring: str | None) -> str:
    """The first line of a docstring, without the command that stands before or after it."""
    line = (docstring or "").partition("\n")[0]
    return line.partition("`: ")[2] or line.partition(": `")[0].rstrip(".")


def train(args: argparse.Namespace) -> int:
    """Run a training, or list them."""
    if args.name is None:
        found = {name: importlib.util.find_spec(module) for name, module in sorted(TRAININGS.items())}
        sources = {name: Path(spec.origin) for name, spec in found.items() if spec and spec.origin}
        _print_list({
            name: _summary(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
            for name, path in sources.items()
        })  # fmt: skip
        return OK
    return hand_over(args, TRAININGS[args.name])


def hand_over(args: argparse.Namespace, module_name: str) -> int:
    """Run a module that has `configure(parser)` and `run(args) -> int`."""
    module: ModuleType = importlib.import_module(module_name)
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    options = argparse.ArgumentParser(prog=f"livery {args.verb} {args.name}", description=summary)
    module.configure(options)
    if args.verb == "bench":
        options.add_argument(
            "--results-dir",
            type=Path,
            metavar="DIR",
            help="folder of the JSON, plots and sheets (default: benchmarks/results in a checkout, else "
            "livery-results here)",
        )
    chosen = options.parse_args(args.rest)
    check_device(getattr(chosen, "device", "cpu"))
    if getattr(chosen, "results_dir", None) is not None:
        os.environ["LIVERY_RESULTS"] = str(chosen.results_dir)
    code: int = module.run(chosen)
    return code
