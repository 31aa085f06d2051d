"""`retry --rejected`: new attempts for what a person did not like."""

from __future__ import annotations

import json
import time
from pathlib import Path

from batchgen.results.reviews import append_mark
from batchgen.storage.paths import RunFolder
from tests.processes import Batchgen, serving, write_csv


def test_rows_with_a_rejected_output_are_made_anew_with_a_new_seed_and_the_old_files_are_kept(tmp_path: Path) -> None:
    with serving() as server:
        shell = Batchgen(tmp_path, server.url)
        assert shell("run", write_csv(tmp_path / "rows.csv", 3), "--yes").exit == 0
        folder = RunFolder.at(tmp_path / "out" / "rows")
        file = json.loads((folder.row("row-0001") / "row.json").read_text("utf-8"))["files"][0]
        append_mark(folder, "row-0001", file["name"], file["sha256"], "rejected", time.time())
        assert shell("retry", folder.path, "--rejected", "--new-seed").exit == 2, "a new seed agrees to nothing"
        again = shell("retry", folder.path, "--rejected", "--new-seed", "--yes", "--json")
        assert again.exit == 0
        seed = json.loads((folder.row("row-0001") / "row.json").read_text("utf-8"))["input"]["seed"]
        assert f"attempt 1 again with the new seed {seed}" in shell("show", folder.path, "row-0001").stdout
        assert server.ledger(summary=True)["totals"]["accepted"] == 4
        assert (folder.attempt("row-0001", 1) / file["name"]).is_file()
        assert shell("retry", folder.path, "--rejected", "--yes").exit == 2, "a new picture is not reviewed yet"
