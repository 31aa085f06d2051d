"""What the embedded server is started with."""

from dataclasses import dataclass

SERVE_TOKEN = "rehearsal"  # noqa: S105 - a loopback double's token guards nothing


@dataclass(frozen=True)
class ServeOptions:
    """Everything `serve` can be told. Settings that documents leave open (`expire`, `words`, ...) go into *faults*."""

    port: int = 0
    """Port of the API on 127.0.0.1; 0 takes a free one. Files always get a free port of their own."""
    token: str = SERVE_TOKEN
    """Bearer token of the account."""
    other_account_token: str = ""
    """A second valid token; neither account sees the other's ids. They share queue and wallet. Empty: none."""
    faults: str = ""
    """The fault plan and settings, as faults.py reads them."""
    seed: int = 0
    """What every dice roll hangs on: equal seed and requests give equal ids, job times, faults and pictures."""
    latency: str = "lognormal:2s"
    """How long jobs run, as timing.Latency reads it; a `latency=` in *faults* goes before."""
    concurrency: int = 40
    """Jobs that run at once; the others wait, first in first out."""
    max_queued: int | None = None
    """Jobs that may wait; a POST above that answers 429. None: any number."""
    submit_rate: str | None = None
    """POSTs let through, like 50/s or 100/min; those above answer 429. None: any number."""
    retry_after: bool = True
    """Whether the 429s of *max_queued* and *submit_rate* say when to come back."""
    wallet_usd: float | None = None
    """Money in the account; a POST it cannot pay answers 400002. None: without end."""
    draw: str = "full"
    """full: real pictures; tiny: a 16x16 PNG each; bytes:1MB: a valid PNG of about that size each."""
    parent_pid: int | None = None
    """End when this process is no longer the parent, so that nobody's child server lives on."""
