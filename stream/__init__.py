"""The edges of Livery: files, the command line, WebRTC in and out, the server and its page.

The command line is the public interface (`livery --help`). From Python, a clip is edited with
`stream.offline.files.edit_file`, and a server is run with `stream.http.app.serve` and a
`stream.config.ServerConfig`.

The sub-packages hold the parts: `cli` the command line, `http` the server, `session` one user's session,
`live` the path of a frame, `looks` what is worn, `rtc` WebRTC, `media` and `colour` video and pictures,
`offline` work on files, `recording` and `storage` what is kept on disk, `filling` and `prompting` slow
models in processes of their own, `camera` the virtual camera without a server, `control` Open Sound
Control, `web` the page.
"""


def __getattr__(name: str) -> str:
    """`__version__`. It is looked up when it is asked for, because this package imports nothing."""
    if name == "__version__":
        from correspondence import __version__

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
