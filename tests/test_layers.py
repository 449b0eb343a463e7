"""Imports point one way: which room may import which, and who owns which library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import distill_tune
from distill_tune.records.directory import StudyDirectory

PACKAGE = Path(distill_tune.__file__).parent

LAYERS = (
    ("errors", "seal", "evidence", "result_table", "tensorboard_file", "image_grid"),
    ("yaml_merge", "rungs"),
    ("yaml_text",),
    ("document",),
    ("reading", "wording"),
    ("config", "interfaces"),
    ("dimensions", "keywords", "plots"),
    ("space",),
    ("trials", "local_files", "distributions"),
    ("object_store",),
    ("storage",),
    ("tables", "mirror", "event_log", "packing", "fold", "confirm_log", "estimate"),
    ("records",),
    ("backbones", "gans", "datasets", "checkpoints"),
    ("distill", "checkpoint_writer"),
    ("arms", "model"),
    ("study_parts", "fitness_view"),
    ("remarks", "arm_evidence"),
    ("confirmation",),
    ("study", "tracking", "status", "warm_start"),
    ("terminal", "training", "cluster", "confirmation_view", "results", "dashboard"),
    ("event_lines", "report", "training_view"),
    ("watch",),
    ("search",),
    ("api",),
    ("cli",),
)
"""Rooms from the lowest up: one imports only what stands lower, never its neighbours."""

OWNERS = {
    "ray": {"search", "cluster"},
    "optuna": {"search", "distributions", "dashboard", "report"},
    "yaml": {"yaml_text", "yaml_merge", "document"},
    "tensorboard": {"tracking", "tensorboard_file", "report"},
    "torchvision": {"backbones", "datasets", "distill"},
    "sklearn": {"datasets", "plots", "model"},
    "matplotlib": {"plots", "search"},
    "pandas": {"results"},
    "mlxtend": {"datasets"},
    "PIL": {"datasets"},
    "imagehash": {"datasets"},
    "scipy": {"distill", "evidence", "report"},
    "safetensors": {"model"},
    "filelock": {"records", "training", "search"},
    "pyarrow": {"object_store"},
    "fsspec": {"object_store", "checkpoints"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "typer": {"cli"},
    "rich": {
        "result_table",
        "cli",
        "terminal",
        "confirmation_view",
        "search",
        "watch",
        "api",
        "training_view",
    },
}
"""A library that is not listed here may be used everywhere."""

TORCH_FREE = {
    "errors",
    "seal",
    "yaml_merge",
    "yaml_text",
    "document",
    "reading",
    "wording",
    "config",
}
TORCH_FREE |= {
    "interfaces",
    "dimensions",
    "space",
    "trials",
    "storage",
    "local_files",
    "object_store",
    "fold",
    "tables",
    "mirror",
    "records",
}
TORCH_FREE |= {"rungs", "distributions", "records", "status", "terminal", "report"}
TORCH_FREE |= {"keywords", "results", "event_lines", "watch", "dashboard", "warm_start"}
TORCH_FREE |= {"evidence", "confirm_log", "remarks", "confirmation", "confirmation_view"}
TORCH_FREE |= {"arm_evidence"}
TORCH_FREE |= {"estimate", "fitness_view"}


class Import(NamedTuple):
    """An import statement of the package.

    Attributes:
        module: Who imports, such as ``search.run``.
        name: What, such as ``ray.tune`` or ``distill_tune.study.study``.
        is_inner: Whether it stands inside a function.
        is_typing: Whether only type checkers see it.
    """

    module: str
    name: str
    is_inner: bool
    is_typing: bool

    @property
    def room(self) -> str:
        return self.module.partition(".")[0]

    @property
    def own(self) -> str:
        """The module of this package that is imported; empty for a library."""
        is_own = self.name.startswith("distill_tune.")
        return self.name.removeprefix("distill_tune.") if is_own else ""


def module_of(module: str, name: str) -> str:
    """Return what ``from module import name`` imports: a module in a folder, or the module."""
    inner = PACKAGE.parent.joinpath(*module.split("."), f"{name}.py")
    return f"{module}.{name}" if inner.exists() else module


def walk(node: ast.AST, module: str, inner: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
            yield from (Import(module, name, inner, typing) for name in names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}: relative import"
            names = [module_of(str(child.module), alias.name) for alias in child.names]
            yield from (Import(module, name, inner, typing) for name in names)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        is_typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from walk(child, module, inner or is_function, typing or is_typing)


def all_imports() -> list[Import]:
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        found += walk(
            ast.parse(path.read_text(encoding="utf-8")), module, inner=False, typing=False
        )
    return found


IMPORTS = all_imports()


def test_every_room_has_its_place() -> None:
    rooms = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    rooms |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == {room for layer in LAYERS for room in layer}


def test_a_room_imports_only_what_stands_lower() -> None:
    height = {room: level for level, layer in enumerate(LAYERS) for room in layer}
    wrong = [
        f"{one.module} imports {one.own}"
        for one in IMPORTS
        if one.own and not one.is_typing and one.own.partition(".")[0] != one.room
        if height[one.own.partition(".")[0]] >= height[one.room]
    ]
    assert wrong == []


def test_nothing_imports_itself_by_a_detour() -> None:
    graph: dict[str, set[str]] = {}
    for one in IMPORTS:
        if one.own and not one.is_typing:
            graph.setdefault(one.module, set()).add(one.own)
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in finished:
            for other in sorted(graph.get(module, ())):
                visit(other, (*path, module))
            finished.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_a_library_has_one_owner() -> None:
    wrong = [
        f"{one.module} imports {one.name}"
        for one in IMPORTS
        if one.room not in OWNERS.get(one.name.partition(".")[0], {one.room})
    ]
    assert wrong == []


def test_torchvision_is_imported_inside_functions_only() -> None:
    outer = [
        one.module for one in IMPORTS if one.name.startswith("torchvision") and not one.is_inner
    ]
    assert outer == []


def test_the_rooms_that_read_a_study_do_not_name_torch() -> None:
    wrong = [
        one.module
        for one in IMPORTS
        if one.room in TORCH_FREE and one.name.partition(".")[0] == "torch" and not one.is_typing
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "work",
    [
        "import distill_tune.terminal.study_tables",
        "import distill_tune.api",
        "from distill_tune import confirm, load_study, search, train; load_study('{study}').best",
        "from distill_tune.cli import app; app(['--help'], standalone_mode=False)",
        "from distill_tune.cli import app; app(['search', '--help'], standalone_mode=False)",
        "from distill_tune.cli import app; app(['status', '{study}'], standalone_mode=False)",
        "from distill_tune.cli import app; app(['status', '{study}', '--json'])",
        "from distill_tune.cli import app; app(['report', '{study}'])",
    ],
)
def test_help_status_and_report_answer_without_torch_or_ray(work: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").touch()
    directory = StudyDirectory(str(tmp_path))
    trial = {"trial": 0, "name": "alexnet-0000", "backbone": "alexnet", "params": {"a.b": 0.5}}
    directory.append({"event": "session_started", "command": "search"})
    directory.append({"event": "trial_started", **trial})
    directory.append({"event": "epoch", "trial": 0, "epoch": 1, "metrics": {"objective": 0.5}})
    heavy = "{'torch', 'torchvision', 'ray', 'optuna', 'pandas', 'sklearn', 'tensorboard'}"
    script = (
        "import sys\n"
        "try:\n"
        f"    {work.format(study=tmp_path)}\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
