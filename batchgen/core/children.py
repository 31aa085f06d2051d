"""What the processes begun here know of our environment: what programs need to find their way, and no secret.

Keys of other services lie in the environment too (AWS_*, FAL_KEY, HF_TOKEN, a password in a proxy's URL), and nobody
can list them all; so what is handed on is listed instead.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

_HANDED_ON = re.compile(
    r"""
    PATH | HOME | USER | LOGNAME | SHELL | PWD | TZ | LANG | LANGUAGE | LC_\w+ | TERM | COLORTERM | NO_COLOR
    | FORCE_COLOR | CI | TMP | TEMP | TMPDIR | XDG_\w+ | DISPLAY | WAYLAND_DISPLAY | XAUTHORITY | BROWSER
    | DBUS_SESSION_BUS_ADDRESS | SSL_CERT_FILE | SSL_CERT_DIR | (?:HTTPS?|ALL|NO)_PROXY
    | LD_LIBRARY_PATH | DYLD_\w+ | VIRTUAL_ENV | PYTHON(?:HOME|UTF8|IOENCODING|UNBUFFERED|DONTWRITEBYTECODE)
    | SYSTEMROOT | SYSTEMDRIVE | WINDIR | COMSPEC | PATHEXT | OS | USERNAME | USERPROFILE | HOMEDRIVE | HOMEPATH
    | APPDATA | LOCALAPPDATA | PROGRAMDATA | PROGRAMFILES(?:\(X86\))? | COMMONPROGRAMFILES | NUMBER_OF_PROCESSORS
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LOGIN = re.compile(r"^[^/]*(?://)?[^/@]*@")


def environ_of_children(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a program that is not ours. A proxy that is named with a login is left out."""
    return {
        name: value for name, value in environ.items() if _HANDED_ON.fullmatch(name) and not _names_a_login(name, value)
    }


def environ_of_our_own(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a process that runs our code: it finds the modules where we do, wherever that was set."""
    return environ_of_children(environ) | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _names_a_login(name: str, value: str) -> bool:
    return name.upper().endswith("_PROXY") and _LOGIN.match(value) is not None
