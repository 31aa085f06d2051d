"""Which part of a data set a group belongs to. Pure, and the same whatever else is in the data set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from batchgen.core.errors import Refusal

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class NotASplit(Refusal):
    """The words after --split cannot be understood."""


def read_split(text: str) -> dict[str, Decimal]:
    """`train=0.9,val=0.1` as shares by name, in that order. Raises NotASplit unless they make 1."""
    shares: dict[str, Decimal] = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        try:
            shares[name] = Decimal(share)
        except InvalidOperation:
            raise NotASplit(f"--split {part!r}: write a name and a share, as in train=0.9,val=0.1") from None
        if not _NAME.fullmatch(name):
            raise NotASplit(f"--split {part!r}: a name is small letters, digits and _, as in train or val")
        if not 0 < shares[name] <= 1:
            raise NotASplit(f"--split {part!r}: a share is more than 0 and at most 1")
    if len(shares) != text.count(",") + 1:
        raise NotASplit(f"--split {text!r} names a part twice")
    if sum(shares.values()) != 1:
        raise NotASplit(f"--split {text!r} makes {sum(shares.values())}; the shares must make 1")
    return shares


def split_of(group: str, shares: Mapping[str, Decimal]) -> str:
    """The part that all of *group* belongs to: its hash, as a number from 0 to 1, falls into that part's share."""
    if len(shares) == 1:
        return next(iter(shares))
    place = Decimal(int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[:8])) / 2**64
    name = ""
    for name, share in shares.items():
        if place < share:
            return name
        place -= share
    return name
