"""Where a token may come from, which place goes first, and what cannot be one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.providers.credentials import NAMES, TokenMissing, find_token, why_none


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is set but an empty home."""
    return {"HOME": str(tmp_path)}


def cli_file(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "token.json").write_text(content)


def test_the_names_go_before_one_another_in_their_order(home: dict[str, str]) -> None:
    environ = home | {name: name.lower() for name in NAMES}
    for name in NAMES:
        assert find_token(environ) == name.lower()
        environ[name] = "  "  # a blank one counts as none


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_hold_the_token(home: dict[str, str], tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("tok-1\n")
    assert find_token(home | {f"{name}_FILE": str(tmp_path / "secret")}) == "tok-1"


def test_a_variable_goes_before_a_file_and_a_file_before_the_official_tool(
    home: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("from-file")
    cli_file(tmp_path / ".config" / "runcomfy", json.dumps({"access_token": "from-cli"}))
    assert find_token(home) == "from-cli"
    environ = home | {"RUNCOMFY_TOKEN_FILE": str(tmp_path / "secret")}
    assert find_token(environ) == "from-file"
    assert find_token(environ | {"RUNCOMFY_API_KEY": "from-variable"}) == "from-variable"


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HOME", ".config/runcomfy"), ("XDG_CONFIG_HOME", "runcomfy"), ("RUNCOMFY_CONFIG_DIR", "")],
)
def test_the_official_tools_file_is_found_wherever_it_keeps_it(tmp_path: Path, variable: str, below: str) -> None:
    cli_file(tmp_path / "there" / below, json.dumps({"access_token": "from-cli"}))
    assert find_token({"HOME": str(tmp_path / "empty"), variable: str(tmp_path / "there")}) == "from-cli"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"access_token": 7}', "null"])
def test_a_useless_file_of_the_official_tool_is_no_token(home: dict[str, str], tmp_path: Path, content: str) -> None:
    cli_file(tmp_path / ".config" / "runcomfy", content)
    with pytest.raises(TokenMissing, match="RUNCOMFY_TOKEN"):
        find_token(home)


def test_without_any_the_error_names_what_to_set(home: dict[str, str]) -> None:
    with pytest.raises(TokenMissing) as missing:
        find_token(home)
    assert all(name in str(missing.value) for name in (*NAMES, "RUNCOMFY_TOKEN_FILE"))


@pytest.mark.parametrize("pasted", ["Bearer abc", "bearer abc", "  BEARER abc"])
def test_a_pasted_bearer_prefix_is_named(home: dict[str, str], pasted: str) -> None:
    with pytest.raises(TokenMissing, match="RUNCOMFY_TOKEN starts with 'Bearer '"):
        find_token(home | {"RUNCOMFY_TOKEN": pasted})


def test_what_to_tell_is_what_is_wrong_with_the_one_there_is(home: dict[str, str]) -> None:
    assert "starts with 'Bearer '" in str(why_none(home | {"RUNCOMFY_TOKEN": "Bearer abc"}))
    assert str(why_none(home)) == str(why_none(home | {"RUNCOMFY_TOKEN": "found"}))


@pytest.mark.parametrize("bad", ["has space", "ümlaut", "tab\there", "line\nbreak", "x" * 8193])
def test_what_cannot_be_a_token_is_refused_without_being_repeated(home: dict[str, str], bad: str) -> None:
    with pytest.raises(TokenMissing, match="RUNCOMFY_TOKEN") as refused:
        find_token(home | {"RUNCOMFY_TOKEN": bad})
    assert bad not in str(refused.value)


@pytest.mark.parametrize("good", ["x" * 8192, "a", "abc.DEF-123_~+/=", " padded \n"])
def test_printable_ascii_is_a_token_and_white_space_around_it_is_not_part_of_it(
    home: dict[str, str], good: str
) -> None:
    assert find_token(home | {"RUNCOMFY_TOKEN": good}) == good.strip()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00"])
def test_a_token_file_that_cannot_be_used_is_named_by_its_variable(
    home: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(TokenMissing, match="RUNCOMFY_API_KEY_FILE"):
        find_token(home | {"RUNCOMFY_API_KEY_FILE": str(tmp_path / "secret")})
