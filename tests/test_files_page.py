"""docs/files.md says what the code says."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_page_of_files_is_of_this_code() -> None:
    made = "import make_files; print(make_files.page(), end='')"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", made],
        cwd=ROOT / "docs", capture_output=True, text=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert done.stdout == page, "run python docs/make_files.py"
    for said in ("`STATS_S = 0.5`", "`recorder.py`", "`TAP_MS = ", "RecordConfig.piece_s = 2.0"):
        assert said in page, said
