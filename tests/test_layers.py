"""Imports point one way: which room may import which, and who owns which library."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import distill_tune
from distill_tune.records.directory import StudyDirectory

PACKAGE = Path(distill_tune.__file__).parent

LAYERS = (
    ("errors", "interfaces"),
    ("plugins",),
    ("datasets", "records"),
    ("distill",),
    ("study",),
    ("cluster", "model"),
    ("training",),
    ("tuning",),
    ("confirmation",),
    ("report", "terminal"),
    ("api", "cli"),
)
"""Rooms from the lowest up: one imports only what stands lower, never its neighbours."""

MOST_FOLDERS, MOST_TOP_MODULES, MOST_MODULES = 13, 4, 15
"""Folders and modules of the package's top, and modules of any one folder."""

OWNERS = {
    "ray": {"cluster"},
    "ray.tune": {"tuning"},
    "optuna": {"tuning"},
    "yaml": {"study"},
    "tensorboard": {"training"},
    "torchvision": {"distill"},
    "timm": {"distill"},
    "torchvision.datasets": {"datasets"},
    "sklearn.datasets": {"datasets"},
    "sklearn": {"model"},
    "sklearn.gaussian_process": {"tuning"},
    "sklearn.metrics": {"distill", "model"},
    "matplotlib": {"model"},
    "pandas": {"report"},
    "mlxtend": {"datasets"},
    "PIL": {"datasets"},
    "imagehash": {"datasets"},
    "scipy": {"confirmation"},
    "scipy.optimize": {"distill"},
    "safetensors": {"distill", "model"},
    "filelock": {"records"},
    "pyarrow": {"records"},
    "fsspec": {"records"},
    "jinja2": {"report"},
    "mlflow": {"report"},
    "wandb": {"report"},
    "markupsafe": {"report"},
    "typer": {"cli"},
    "rich": {"cli", "terminal"},
}
"""Who imports a library, or a part of it. One that is not listed may be used everywhere."""

TORCH_FREE = {"errors", "interfaces", "records", "report", "terminal"}


class Import(NamedTuple):
    """An import statement of the package.

    Attributes:
        module: Who imports, such as ``tuning.session``.
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
    whole = f"{module}.{name}"
    return whole if inner.exists() or whole in OWNERS else module


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
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules | folders == {room for layer in LAYERS for room in layer}
    assert len(folders) <= MOST_FOLDERS
    assert len(modules) + 1 <= MOST_TOP_MODULES


def test_no_folder_is_crowded() -> None:
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {str(folder): count for folder, count in counts.items() if count > MOST_MODULES} == {}


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


def test_a_task_does_not_wait_for_ray_tune() -> None:
    """A worker that computes a stage or an arm, or rehearses, would import it for seconds.

    A search imports it beside its shared stages.
    """
    imported: dict[str, set[str]] = {}
    for one in IMPORTS:
        if not (one.is_inner or one.is_typing):
            imported.setdefault(one.module, set()).add(one.own or one.name)
    of_tasks = {"tuning.shared_stage_tasks", "tuning.dry_run.rehearsal"}
    of_tasks |= {"confirmation.run", "confirmation.sealed_test", "tuning.session"}
    assert of_tasks <= set(imported)
    reached, waiting = set[str](), set(of_tasks)
    while waiting:
        reached |= waiting
        waiting = {other for one in waiting for other in imported.get(one, ())} - reached
    assert [name for name in sorted(reached) if name.startswith("ray.tune")] == []
    assert "ray" in reached


def owners(name: str) -> set[str] | None:
    """Return who may import a module of a library; None = everybody."""
    top, _, rest = name.partition(".")
    return OWNERS.get(f"{top}.{rest.partition('.')[0]}", OWNERS.get(top))


def test_a_library_has_one_owner() -> None:
    wrong = [
        f"{one.module} imports {one.name}"
        for one in IMPORTS
        if not one.is_typing and one.room not in (owners(one.name) or {one.room})
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
    _run_lightly(work.format(study=tmp_path), "not end.code")


def test_a_study_that_is_not_there_is_told_without_torch_or_ray() -> None:
    for words in (["resume", "no"], ["confirm", "no"], ["train", "--study", "no", "--out", "m"]):
        said = _run_lightly(f"from distill_tune.cli import app; app({words})", "end.code == 2")
        assert said == "no: no study here (no study.yaml)\n"


def _run_lightly(work: str, end: str) -> str:
    """Run code that may not import what is large; return what it writes to stderr."""
    heavy = "{'torch', 'torchvision', 'ray', 'optuna', 'pandas', 'sklearn', 'tensorboard'}"
    script = (
        "import sys\n"
        "try:\n"
        f"    {work}\n"
        "except SystemExit as end:\n"
        f"    assert {end}, end\n"
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
    return done.stderr
