"""Answers paths on stdin until it ends."""

from __future__ import annotations

import sys

from batchgen.collector.verify.exchange import answer


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(answer(line))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
