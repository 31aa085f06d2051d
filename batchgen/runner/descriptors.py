"""How many files and connections may be open at once: raised as far as the system lets us, or told."""

from __future__ import annotations

ENOUGH = 1024
"""A connection a poll, a POST and a download, the processes that decode, and the state: a wide run has some 400."""


def raise_limit(needed: int = ENOUGH) -> str | None:
    """Let this process open *needed* files at once. Answers with what stands in the way, and what helps, if it cannot.

    Windows has no such limit that is low.
    """
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # macOS has a limit of its own for what it will grant
        most = soft
    if most >= needed:
        return None
    return (
        f"only {most} files and connections may be open at once, and a wide run takes up to {needed}: raise the limit "
        f"(ulimit -Hn {needed} as root, LimitNOFILE={needed} in a systemd unit, nofile in limits.conf), or keep "
        f"--in-flight below {max(most // 4, 1)}"
    )
