"""Figures of the package's structure: `python -m tests.structure [CHECKOUT]`, for this checkout or another.

Imports inside functions and for types alone count as imports. Lengths are lines from the first to the last of a body.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.test_layers import LAYERS

Function = ast.FunctionDef | ast.AsyncFunctionDef

_NOT_COUNTED = frozenset({"__init__.py", "__main__.py"})


@dataclass(frozen=True)
class Module:
    """One file of the package, by its path below it."""

    path: str
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def dotted(self) -> str:
        return self.path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")

    def functions(self) -> Iterator[Function]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self, tree: ast.AST) -> Iterator[str]:
        """What *tree* imports of the package, dotted below it."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from (name.removeprefix("batchgen.") for name in names if name.startswith("batchgen."))


def modules(package: Path) -> list[Module]:
    return [
        Module(path.relative_to(package).as_posix(), ast.parse(text := path.read_text("utf-8")), text.count("\n"))
        for path in sorted(package.rglob("*.py"))
    ]


def uses(package: list[Module]) -> dict[str, set[str]]:
    """Path of each module -> paths of the modules that it imports."""
    by_name = {module.dotted: module.path for module in package}
    used: dict[str, set[str]] = {}
    for module in package:
        names = set(module.imports(module.tree))
        found = {by_name.get(name) or by_name.get(name.rpartition(".")[0]) for name in names}
        used[module.path] = {path for path in found if path is not None} - {module.path}
    return used


def circles(used: dict[str, set[str]]) -> int:
    """How many arrows have to go until no module comes back to itself: one of each way round that is found."""
    left = {path: set(others) for path, others in used.items()}
    count = 0
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as circle:
            later, earlier = circle.args[1][:2]
            left[earlier].discard(later)
            count += 1
        else:
            return count


def parameters(function: Function) -> int:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def local_imports(module: Module) -> int:
    """Statements inside functions that import something of the package."""
    inside = {
        node
        for function in module.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and any(module.imports(node))
    }
    return len(inside)


def public_docstrings(package: list[Module]) -> tuple[int, int]:
    """Public functions, methods and classes: with a docstring, and all."""
    public = [
        node
        for module in package
        for parent in ast.walk(module.tree)
        if isinstance(parent, ast.Module | ast.ClassDef)
        for node in parent.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]
    return sum(ast.get_docstring(node) is not None for node in public), len(public)


def report(package: Path) -> Iterator[str]:
    read = modules(package)
    used = uses(read)
    room = {module.path: module.room for module in read}
    arrows = {(room[path], room[other]) for path, others in used.items() for other in others} - {
        (one, one) for one in room.values()
    }
    floor = {name: number for number, names in enumerate(LAYERS) for name in names}
    functions = [function for module in read for function in module.functions()]
    lengths = sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions)
    constructors = [parameters(node) for node in functions if node.name == "__init__"]
    told, public = public_docstrings(read)
    root = {module.path.split("/")[0] for module in read} - _NOT_COUNTED
    yield f"entries at the root, the dunder files and py.typed as one: {len(root) + 1}"
    yield f"arrows between rooms: {len(arrows)}"
    if set(room.values()) <= set(floor):
        yield f"arrows that do not point down: {sum(floor[b] >= floor[a] for a, b in arrows)}"
    else:
        yield "arrows that do not point down: the rooms are not those of the seven floors"
    yield f"circles of modules: {circles(used)}"
    yield f"imports of the package inside functions: {sum(map(local_imports, read))}"
    yield f"parameters of constructors: at most {max(constructors)}, above 7: {sum(n > 7 for n in constructors)}"
    yield (
        f"lines of functions: median {statistics.median(lengths):g}, 95th percentile "
        f"{lengths[len(lengths) * 95 // 100]}, longest {lengths[-1]}, above 60: {sum(n > 60 for n in lengths)}"
    )
    yield f"lines of modules: {len(read)} modules, longest {max(module.lines for module in read)}"
    yield f"public names with a docstring: {told} of {public}"
    yield f"lines: {sum(module.lines for module in read):,}"


if __name__ == "__main__":
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    for line in report(checkout / "batchgen"):
        print(line)
