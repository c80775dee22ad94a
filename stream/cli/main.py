"""The command line. Each verb has a function in `RUNS`."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stream import logs
from stream.cli import camera, file_verbs, look_verbs, modules
from stream.cli.device import check_device
from stream.cli.exits import FAILED, INTERRUPTED, OK, USAGE, UsageError
from stream.cli.network import tls_value
from stream.cli.options import parser
from stream.cli.settings import with_settings

if TYPE_CHECKING:
    from stream.config import ServerConfig
    from stream.storage.config import StorageConfig

QUIET = (  # verbs that hide the log lines of native libraries
    *("serve", "demo", "camera", "edit", "look", "reference", "smooth", "animate", "refine", "doctor"),
)
PATHS = ("-o", "--output", "--edited", "--edited-end", "--look", "--reference", "--report", "--drive")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments. None means `sys.argv[1:]`.

    Returns:
        The exit code: 0 done, 1 internal failure, 2 wrong usage or input, 130 interrupted. A server that is
        stopped by Ctrl-C or SIGTERM returns 0.
    """
    for stream in (sys.stdout, sys.stderr):  # a console or file of Windows may lack letters of a name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    args = _parsed(_named(sys.argv[1:] if argv is None else argv))
    if args.verb not in QUIET or args.verbose:
        return _run(args)
    from stream.cli.progress import native_chatter_hidden

    with native_chatter_hidden():
        return _run(args)


def _named(argv: Sequence[str]) -> list[str]:
    """Return the arguments, with "./" before names of files that would look like options."""
    named: list[str] = []
    for before, argument in zip(["", *argv], argv, strict=False):
        dashed = argument.startswith("-") and Path(argument).suffix != ""
        is_file = dashed and (before in PATHS or Path(argument).is_file())
        named.append(f"./{argument}" if is_file else argument)
    return named


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments together with the configuration file and the environment variables."""
    import platformdirs

    whole, parsers = parser(RUNS)
    default = platformdirs.user_config_path("livery", appauthor=False) / "livery.toml"
    args, unknown = whole.parse_known_args(with_settings(argv, parsers, os.environ, default))
    if unknown:
        verb = parsers[args.verb]
        known = [text for action in verb._actions for text in action.option_strings]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, 1)
        verb.error(f"unknown: {' '.join(unknown)}" + (f"; did you mean {near[0]}?" if near else ""))
    return args


def _run(args: argparse.Namespace) -> int:
    logs.configure(args.log_level, getattr(args, "log_format", "text"))
    try:
        run: Callable[[argparse.Namespace], int] = args.run
        check_device(getattr(args, "device", "cpu"))
        return run(args)
    except KeyboardInterrupt:
        print("livery: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it prints no error
        return FAILED
    except Exception as exc:
        if args.verbose:
            traceback.print_exc()
        if isinstance(exc, UsageError):
            sys.stderr.write(args.usage())
        return _complain(exc)


def _complain(exc: Exception) -> int:
    """Print an error in one line and return its exit code: wrong usage or input, or an internal failure."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    if isinstance(exc, ModuleNotFoundError):
        hint = "python -m pip install 'livery[cpu]', or [train] for training and benchmarks"
        print(f"livery: {text}; {hint}", file=sys.stderr)
        return USAGE
    from correspondence import WeightsError
    from stream.errors import StartError

    if isinstance(exc, (UsageError, ValueError, OSError, WeightsError, StartError)):
        print(f"livery: {text}", file=sys.stderr)
        return USAGE
    print(f"livery: failed: {type(exc).__name__}: {text} (--verbose shows where)", file=sys.stderr)
    return FAILED


def _serve(args: argparse.Namespace, demo: bool = False) -> int:
    import platformdirs

    from stream.config import ServerConfig

    config = ServerConfig(
        host=args.host,
        port=args.port,
        token=args.token,
        public_url=args.public_url,
        allow_hosts=tuple(args.allow_host),
        trusted_proxies=tuple(args.trusted_proxy),
        udp_ports=args.udp_ports,
        public_address=args.public_address,
        ice_servers=tuple(args.ice_server),
        turn_user=args.turn_user,
        turn_credential=args.turn_credential,
        turn_secret=args.turn_secret,
        tls=tls_value(args.tls),
        tls_folder=platformdirs.user_config_path("livery", appauthor=False) / "tls",
        max_sessions=args.max_sessions,
        max_load=args.max_load,
        opens_per_minute=args.opens_per_minute,
        failures_per_minute=args.failures_per_minute,
        matcher=args.matcher,
        device=args.device,
        keyframes=args.keyframes,
        follow_camera=args.follow_camera,
        faces=args.faces,
        fill_weights=args.fill_weights,
        prompt_model=args.prompt_model,
        prompt_controlnet=args.prompt_controlnet,
        record=args.record,
        record_mib=args.record_mib,
        record_asked=args.record_asked,
        store=_store(args),
        virtual_camera=args.virtual_camera,
        mark=args.mark,
        osc_port=args.osc,
        osc_host=args.osc_host,
        traces=args.traces,
        bitrate_bps=args.bitrate,
        drain_s=args.drain,
        demo=demo,
    )
    if not demo and args.cluster is not None:
        _serve_cluster(args, config)
        return OK
    if not demo and (args.hosts is not None or args.host_cpus is not None or args.fill_hosts):
        raise UsageError(
            "--hosts, --host-cpus and --fill-hosts say how large a cluster is; they need --cluster"
        )
    from stream.http.app import serve

    serve(config)
    return OK


def _serve_cluster(args: argparse.Namespace, config: ServerConfig) -> None:
    if args.data is None and not args.no_store:
        raise UsageError("--cluster needs --data DIR on storage that all its nodes share, or --no-store")
    from stream.cluster.config import ClusterConfig
    from stream.cluster.run import serve_cluster

    cluster = ClusterConfig(
        address=args.cluster or None,
        hosts=args.hosts,
        host_cpus=args.host_cpus,
        fill_hosts=args.fill_hosts,
    )
    serve_cluster(config, cluster)


def _store(args: argparse.Namespace) -> StorageConfig | None:
    """Return where sessions are stored. None if they live in memory only."""
    if args.no_store and args.data is None:
        return None
    if args.no_store:
        raise UsageError("--no-store keeps nothing, so it cannot go with --data; leave one of them out")
    import platformdirs

    from stream.storage.config import StorageConfig

    folder = args.data or platformdirs.user_data_path("livery", appauthor=False)
    return StorageConfig(folder=folder, keep_days=args.keep_days, max_mib=args.data_mib)


def _demo(args: argparse.Namespace) -> int:
    return _serve(args, demo=True)


def _completion(args: argparse.Namespace) -> int:
    import shtab

    whole, parsers = parser(RUNS)
    for each in parsers.values():
        for action in each._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it there
    print(shtab.complete(whole, args.shell))
    return OK


def _doctor(args: argparse.Namespace) -> int:
    from stream.cli.doctor import examine

    failed = []
    for finding in examine():
        sign = {True: "ok  ", None: "--  ", False: "FAIL"}[finding.ok]
        print(f"{sign} {finding.name}: {finding.text}", flush=True)
        if finding.ok is False:
            failed.append(finding.name)
    if failed:
        print(f"livery: failed: {', '.join(failed)}", file=sys.stderr)
        return FAILED
    return OK


RUNS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "camera": camera.run,
    "edit": file_verbs.edit,
    "look": look_verbs.run,
    "reference": file_verbs.reference,
    "smooth": file_verbs.smooth,
    "animate": file_verbs.animate,
    "refine": file_verbs.refine,
    "bench": modules.bench,
    "train": modules.train,
    "doctor": _doctor,
    "completion": _completion,
}
