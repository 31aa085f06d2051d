"""Whether refusals are so few that chance explains them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_NEWEST = 1 / 16
_FEW = 0.25


@dataclass(slots=True)
class RefusedShare:
    """How many of the last POSTs were refused, the newest counting most.

    A gateway may refuse some POSTs whatever is sent: slowing down for each of them would bring a run to a halt and
    lessen nothing. A limit that is passed refuses most of what is beyond it.
    """

    share: float = 0.0

    def accepted(self) -> None:
        self.share -= _NEWEST * self.share

    def refused(self) -> None:
        self.share += _NEWEST * (1.0 - self.share)

    @property
    def is_small(self) -> bool:
        return self.share < _FEW
