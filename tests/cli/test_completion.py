"""Tab in bash, with what `--show-completion` has it do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = None if sys.platform == "win32" else shutil.which("bash")


def with_the_command_in(folder: Path) -> dict[str, str]:
    """An environment whose home is *folder*, where the command lies as pip would write it."""
    command = folder / "batchgen"
    command.write_text(f"#!{sys.executable}\nfrom batchgen.cli import main\n\nmain()\n", "utf-8")
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}


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
    around = with_the_command_in(tmp_path)
    script = (
        'eval "$(env _BATCHGEN_COMPLETE=bash_source batchgen)"\n'
        f"COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}\n"
        '_batchgen_completion batchgen; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    ended = subprocess.run([str(BASH), "-c", script], env=around, capture_output=True, text=True, timeout=90)
    assert set(ended.stdout.split()) == offered, ended.stderr


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_completion_is_installed_beside_what_the_start_file_held_and_only_once(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'\n", "utf-8")
    around = with_the_command_in(tmp_path)
    for _ in range(2):
        script = "batchgen --install-completion; exit $?"
        ended = subprocess.run([str(BASH), "-c", script], env=around, capture_output=True, text=True, timeout=90)
        assert ended.returncode == 0, ended.stderr
    assert "bash completion installed in" in ended.stdout
    started = (tmp_path / ".bashrc").read_text("utf-8").split("\n")
    assert started.count("source ~/.bash_completions/batchgen.sh") == 1
    assert started[0] == "alias ll='ls -l'"
    script = "source ~/.bashrc; complete -p batchgen"
    ended = subprocess.run([str(BASH), "-c", script], env=around, capture_output=True, text=True, timeout=90)
    assert "_batchgen_completion" in ended.stdout
