"""What 404 and 403 on an id are worth: another account's key looks like expiry."""

from __future__ import annotations

from dataclasses import dataclass, field

EXPIRED_AFTER_S = 7 * 24 * 3600.0
"""Ids younger than this are not given up, whatever the provider answers."""


@dataclass(slots=True)
class IdEvidence:
    """What the ids of this folder answered in this run: another account's key looks like expiry.

    An id counts as not found after *sure_after* such answers, since a young id may not be known everywhere yet.
    """

    sure_after: int = 3
    account_is_right: bool = False
    _known: set[int] = field(default_factory=set)
    _not_found: dict[int, int] = field(default_factory=dict)

    def answered(self, key: int) -> None:
        self._known.add(key)
        self._not_found.pop(key, None)
        self.account_is_right = True

    def not_found(self, key: int) -> bool:
        """Note one more 404 or 403 for *key*. Answers whether the id now counts as not found."""
        self._not_found[key] = self._not_found.get(key, 0) + 1
        return self._not_found[key] >= self.sure_after

    def gone_for_good(self, key: int, age_s: float) -> bool:
        """Whether an id that answers 404 or 403 may end its row: another id answered, and this one is old."""
        return bool(self._known - {key}) and age_s > EXPIRED_AFTER_S

    def nobody_answers(self, live: int) -> bool:
        """Whether every one of the *live* ids is not found: another account's key, or all expired."""
        lost = sum(times >= self.sure_after for times in self._not_found.values())
        return not self.account_is_right and lost >= live > 0
