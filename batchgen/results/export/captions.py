"""The caption of each item: a column, or a template over the columns, confined as the manifest's templates are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from batchgen.core.errors import Refusal
from batchgen.core.templates import TemplateFault, TextTemplate
from batchgen.models import did_you_mean
from batchgen.results.export.columns import OPEN, Record

Caption: TypeAlias = Callable[[Record], str]


class NotACaption(Refusal):
    """The words after --caption name no column, or are no template that works."""


def caption(text: str, columns: Collection[str]) -> Caption:
    """How *text* makes a caption of a line whose open columns are all there. Raises NotACaption."""
    if "{{" not in text and "{%" not in text:
        if text not in columns:
            raise NotACaption(
                f"--caption: no column is called {text!r}{did_you_mean(text, columns)}; a template is written as in "
                "'a photo of {{ meta.subject }}'"
            )
        return lambda record: "" if record[text] is None else str(record[text])
    return _of_template(text, columns)


def _of_template(text: str, columns: Collection[str]) -> Caption:
    known = {name.partition(".")[0] for name in columns}
    try:
        template = TextTemplate(text)
    except TemplateFault as fault:
        raise NotACaption(f"--caption: {fault}") from None
    for name in sorted(template.names - known):
        raise NotACaption(f"--caption: no column is called {name!r}{did_you_mean(name, columns)}")

    def render(record: Record) -> str:
        try:
            return template.render(_nested(record))
        except TemplateFault as fault:
            raise NotACaption(f"--caption, row {record['row_id']}: {fault}") from None

    return render


def _nested(record: Record) -> Mapping[str, object]:
    """The columns as a template names them: `meta.subject` is `subject` of `meta`."""
    names: dict[str, object] = {name: value for name, value in record.items() if not name.startswith(OPEN)}
    for beginning in OPEN:
        names[beginning[:-1]] = {
            name.removeprefix(beginning): value for name, value in record.items() if name.startswith(beginning)
        }
    return names
