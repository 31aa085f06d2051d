"""`python -m batchgen.verify` tells whether files are whole: a JSON path a line in, a JSON answer a line out."""

from __future__ import annotations

from batchgen.collector.verify.__main__ import main

if __name__ == "__main__":
    main()
