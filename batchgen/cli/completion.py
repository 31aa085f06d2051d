"""Tab in the shell: click's script for it, shown or put where the shell reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import shellingham
from click.shell_completion import get_completion_class

from batchgen.cli.output import tell
from batchgen.core.children import environ_of_children

# Shell: (where its script goes, what its start file must say to read that, the start file), below the home folder.
_PLACES = {
    "bash": (".bash_completions/batchgen.sh", "source ~/.bash_completions/batchgen.sh", ".bashrc"),
    "zsh": (".zfunc/_batchgen", "fpath+=~/.zfunc; autoload -Uz compinit; compinit", ".zshrc"),
    "fish": (".config/fish/completions/batchgen.fish", "", ""),  # fish reads the whole folder
}


def show(app: click.Command) -> None:
    """Print the script for the shell that asks."""
    tell(_script(app, _shell()))


def install(app: click.Command) -> None:
    """Put the script where the shell that asks finds it; to do it again changes nothing more."""
    shell = _shell()
    script = _script(app, shell)
    if shell in _PLACES:
        place, line, start_file = _PLACES[shell]
        path = Path.home() / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, "utf-8")
        if start_file:
            _add(Path.home() / start_file, line)
    else:
        asked = [shell, "-NoProfile", "-Command", "echo $profile"]
        answer = subprocess.run(asked, env=environ_of_children(), capture_output=True, text=True, check=True)  # noqa: S603 - the shell that called us
        path = Path(answer.stdout.strip())
        path.parent.mkdir(parents=True, exist_ok=True)
        _add(path, script)
    tell(f"{shell} completion installed in {path}", "Completion will take effect once you restart the terminal")


def _shell() -> str:
    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        raise click.UsageError("no shell started this; run it in the shell that is to complete") from None


def _script(app: click.Command, shell: str) -> str:
    made_by = get_completion_class("powershell" if shell == "pwsh" else shell)
    if made_by is None:
        raise click.UsageError(f"{shell} is not supported; bash, zsh, fish and PowerShell are")
    return made_by(app, {}, "batchgen", "_BATCHGEN_COMPLETE").source().strip()


def _add(file: Path, lines: str) -> None:
    before = file.read_text("utf-8") if file.exists() else ""
    if lines not in before:
        file.write_text(f"{before}\n{lines}\n", "utf-8")
