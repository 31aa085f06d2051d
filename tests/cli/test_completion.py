"""Tab in bash, with what `--show-completion` has it do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = None if sys.platform == "win32" else shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["batchgen", "rec"], {"reconcile"}),
        (["batchgen", "run", "--rerun"], {"--rerun-changed"}),
        (["batchgen", "status", "--wa"], {"--watch"}),
    ],
)
def test_bash_completes_commands_and_flags(typed: list[str], offered: set[str], tmp_path: Path) -> None:
    command = tmp_path / "batchgen"
    command.write_text(f"#!{sys.executable}\nfrom batchgen.cli import main\n\nmain()\n", "utf-8")  # as pip writes it
    command.chmod(0o755)
    script = (
        'eval "$(env _BATCHGEN_COMPLETE=source_bash batchgen)"\n'
        f"COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}\n"
        '_batchgen_completion batchgen; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    around = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run([str(BASH), "-c", script], env=around, capture_output=True, text=True, timeout=90)
    assert set(ended.stdout.split()) == offered, ended.stderr
