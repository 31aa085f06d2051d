"""Everything that must not be sent: one sentence that says what to do, an exit code, and nothing on the wire."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.conftest import At, Shell, posts, table
from tests.processes import TOKEN, Batchgen, Ended, Server, serving
from tests.providers.rawserver import closed_port

TEN_FAULTS = """\
id,text,images,seed,image_size,sequential_image_generation_options,txet
ok,fine,https://example.com/a.png,1,,,
no-text,,https://example.com/a.png,1,,,
no-images,fine,,1,,,
bad-seed,fine,https://example.com/a.png,12a,,,
bad-size,fine,https://example.com/a.png,1,9:9,,
too-many,fine,https://example.com/a.png,1,,16,
too-few,fine,https://example.com/a.png,1,,0,
ok,fine,https://example.com/a.png,1,,,
con,fine,https://example.com/a.png,1,,,
ragged,fine,https://example.com/a.png,1,,,,one too many
"""


def test_a_table_with_ten_faults_is_told_of_all_of_them_at_once_and_nothing_is_sent(
    shell: Shell, server: Server
) -> None:
    manifest = shell.write("ads.csv", TEN_FAULTS)
    before = posts(server)
    ended = shell("run", manifest, "--yes", "--json")
    assert ended.exit == 2
    problems = [problem for problem in ended.json["problems"] if problem["severity"] == "error"]
    assert {(problem["line"], problem["column"]) for problem in problems} >= {
        (1, "txet"),
        (3, "text"),
        (4, "images"),
        (5, "seed"),
        (6, "image_size"),
        (7, "sequential_image_generation_options"),
        (8, "sequential_image_generation_options"),
        (9, "id"),
        (10, "id"),
    }
    assert 11 in {problem["line"] for problem in problems}
    assert {"bad-seed", "bad-size", "too-many", "too-few"} <= {problem["row"] for problem in problems}
    assert all(set(problem) >= {"file", "line", "column", "row", "path", "message"} for problem in problems)
    assert "ads.csv:5 seed: " in ended.stderr
    assert "did you mean 'text'" in ended.stderr.replace('"', "'")
    assert "nothing was sent" in ended.stderr
    assert posts(server) == before


UNUSABLE: dict[str, tuple[str | None, int | None, str]] = {
    "twice.yaml": ("model: a/b\nrows:\n  - {id: a, text: x, text: y}\n", 3, "text"),
    "empty.csv": ("", None, "empty"),
    "head.csv": ("id,text,images\n", None, "no rows"),
    "nothing.yaml": ("rows: []\n", None, "rows"),
    "missing.csv": (None, None, "missing.csv"),
    "ads.txt": ("hello", None, ".csv"),
    "model.csv": ("id,model,text\na,no/such-model,x\n", 2, "no/such-model"),
    "near.csv": ("id,model,text\na,bytedance/seedream-4-0/edit-sequentiel,x\n", 2, "did you mean"),
}


@pytest.fixture(scope="module")
def unusable(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How `run` ended for each of these manifests; they ran side by side."""
    before, runs, folders = posts(server), {}, {name: tmp_path_factory.mktemp("unusable") for name in UNUSABLE}
    for name, (content, _, _) in UNUSABLE.items():
        folder = folders[name]
        if content is not None:
            (folder / name).write_text(content)
        runs[name] = Batchgen(folder, server.url).start("run", folder / name, "--yes", "--json")
    ended = {}
    for name, run in runs.items():
        stdout, stderr = run.communicate(timeout=60)
        ended[name] = Ended(run.returncode, stdout, stderr)
        assert not (folders[name] / "out").exists()
    assert posts(server) == before
    return ended


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_manifest_that_cannot_be_used_is_refused_with_its_reason_and_nothing_is_sent(
    unusable: dict[str, Ended], name: str
) -> None:
    ended, (_, line, said) = unusable[name], UNUSABLE[name]
    assert ended.exit == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert line in (None, ended.json["problems"][0]["line"])


def test_without_a_token_nothing_begins_and_the_places_for_one_are_named(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table("a|x"))
    ended = shell.without(token=None)("run", manifest, "--yes")
    assert (ended.exit, ended.stdout) == (3, "")
    assert all(name in ended.stderr for name in ("RUNCOMFY_TOKEN", "RUNCOMFY_API_KEY", "_FILE"))


def test_a_token_that_cannot_be_one_is_told_from_none(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table("a|x"))
    ended = shell.without(token="Bearer abc-5150")("run", manifest, "--yes")
    assert (ended.exit, ended.stdout) == (3, "")
    assert "RUNCOMFY_TOKEN starts with 'Bearer '" in ended.stderr
    unread = shell.without(token=None)("run", manifest, "--yes", RUNCOMFY_TOKEN_FILE="/no/such/file")
    assert unread.exit == 3
    assert "RUNCOMFY_TOKEN_FILE names a file that cannot be read" in unread.stderr


def test_a_base_that_is_no_address_is_refused_and_no_folder_is_made_that_belongs_to_it(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table("a|x"))
    ended = shell.without(base=None)("run", manifest, "--yes", RUNCOMFY_MODEL_API_BASE="model-api")
    assert ended.exit == 2
    assert "--api-base or RUNCOMFY_MODEL_API_BASE" in ended.stderr
    assert not (shell.folder / "out").exists()


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        (("--api-base", ""), {}),
        (("--api-base", "   "), {}),
        (("--api-base", ""), {"RUNCOMFY_MODEL_API_BASE": "http://127.0.0.1:9"}),
        ((), {"RUNCOMFY_MODEL_API_BASE": ""}),
        ((), {"RUNCOMFY_MODEL_API_BASE": " \t"}),
        ((), {"BATCHGEN_API_BASE": ""}),
        ((), {"BATCHGEN_API_BASE": " ", "RUNCOMFY_MODEL_API_BASE": "http://127.0.0.1:9"}),
    ],
)
def test_an_empty_base_is_refused_and_does_not_mean_the_real_provider(
    shell: Shell, flags: tuple[str, ...], environ: dict[str, str]
) -> None:
    manifest = shell.write("ads.csv", table("a|x"))
    ended = shell.without(base=None)("run", manifest, "--yes", *flags, **environ)
    assert (ended.exit, ended.stdout) == (2, "")
    assert "the API base is empty" in ended.stderr
    assert not (shell.folder / "out").exists()


def test_a_base_that_is_given_goes_before_a_variable_whatever_that_holds(shell: Shell, server: Server) -> None:
    manifest = shell.write("ads.csv", table("a|x"))
    variables = {"BATCHGEN_API_BASE": "", "RUNCOMFY_MODEL_API_BASE": "http://127.0.0.1:9"}
    told = shell.without(base=None)("plan", manifest, "--json", "--api-base", server.url, **variables)
    assert told.exit == 0, told.stderr


def test_a_wrong_token_leaves_every_row_pending_and_is_never_repeated(shell: Shell) -> None:
    manifest = shell.write("ads.csv", table(*(f"row-{number}|dune {number}" for number in range(8))))
    wrong = "wrong-token-5150"
    ended = shell.without(token=wrong)("run", manifest, "--yes", "--json")
    assert ended.exit == ended.json["exit"] == 3
    assert ended.json["rows"]["pending"] == 8
    assert "put the right token in place" in ended.stderr
    left = [path for path in shell.folder.rglob("*") if path.is_file() and wrong.encode() in path.read_bytes()]
    assert (wrong in ended.stdout + ended.stderr, left) == (False, [])
    assert shell("run", manifest, "--yes", "-q").exit == 0


def test_an_empty_wallet_leaves_rows_pending_and_the_same_command_goes_on_once_it_is_filled(at: At) -> None:
    with serving(latency="fixed:20ms", wallet_usd=0.1) as server:
        shell = at(server)
        manifest = shell.write("ads.csv", table(*(f"row-{number}|dune {number}" for number in range(8))))
        ended = shell("run", manifest, "--yes", "--json", "-j", "2")
        assert ended.exit == ended.json["exit"] == 4
        sent = len(server.charged)
        assert 0 < sent < 8
        assert (ended.json["rows"]["collected"], ended.json["rows"]["pending"]) == (sent, 8 - sent)
        assert "top up" in ended.stderr
        server.control(wallet_usd=100.0)
        again = shell("run", manifest, "--yes", "--json")
        assert (again.exit, again.json["rows"]["collected"]) == (0, 8)
        assert server.ledger()["totals"]["duplicates"] == 0
        assert len(server.charged) == 8


def test_nothing_is_sent_that_nobody_agreed_to_nor_from_a_folder_of_another_provider(
    shell: Shell, server: Server
) -> None:
    manifest = shell.write("ads.csv", table("a|x", "b|y"))
    before = posts(server)
    ended = shell("run", manifest, BATCHGEN_YES="1", BATCHGEN_NEW_ROWS="1")
    assert (ended.exit, ended.stdout) == (2, "")
    assert "--yes" in ended.stderr
    assert "2 rows" in ended.stderr
    assert posts(server) == before
    assert shell("run", manifest, "--yes", "-q").exit == 0
    elsewhere = shell("run", manifest, "--yes", "--api-base", f"http://127.0.0.1:{closed_port()}")
    assert elsewhere.exit == 2
    assert server.url in elsewhere.stderr


# ── nobody there ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", autouse=True)
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Two runs against a port where nobody listens; their patience runs while the other tests do."""
    runs = {}
    for name, flags in (("all", []), ("limit", ["--limit", "1"])):
        folder = tmp_path_factory.mktemp(name)
        manifest = folder / "ads.csv"
        manifest.write_text(table("a|x", "b|y"))
        command = Batchgen(folder, f"http://127.0.0.1:{closed_port()}")
        runs[name] = command.start("run", manifest, "--yes", "--json", *flags)
    yield runs
    for run in runs.values():
        run.kill()
        run.communicate()


@pytest.mark.parametrize("name", ["all", "limit"])
def test_an_unreachable_host_is_given_up_after_a_while_and_rows_stay_pending(
    unreachable: dict[str, subprocess.Popen[str]], name: str
) -> None:
    stdout, stderr = unreachable[name].communicate(timeout=30)
    assert unreachable[name].returncode == 5, stderr
    assert '"pending": 2' in stdout
    assert "check the network" in stderr
    assert "warning: the provider is out of reach" in stderr, "the bill says what it could not ask"
    assert "Traceback" not in stderr
    assert TOKEN not in stdout + stderr
