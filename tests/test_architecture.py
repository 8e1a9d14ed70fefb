"""Imports point downwards, and no file or function grows too long: read from the source itself."""

import ast
from pathlib import Path

import pytest

import facedet

PACKAGE = Path(facedet.__file__).parent
# The first prefix that fits gives the layer.
LAYERS = {
    "data.datamodule": 3,
    **dict.fromkeys(("structures", "boxes", "box_coder", "errors", "replacing", "allocator"), 0),
    **dict.fromkeys(("models", "criteria", "postprocess", "data", "metrics"), 1),
    **dict.fromkeys(("inference", "scales", "profiling", "plots", "markdown"), 2),
    **dict.fromkeys(("modules", "callbacks"), 3),
    **dict.fromkeys(("config", "weights", "pretrained", "api", "evaluation", "scoring"), 4),
    **dict.fromkeys(("diagnosis", "diagnosis_errors", "diagnosis_plots", "diagnosis_report"), 4),
    **dict.fromkeys(("cli", "commands", "downloading", "registry", "reproduce"), 4),
    **dict.fromkeys(("overrides", "sweep_results"), 4),
    **dict.fromkeys(("raw_looks", "pyramid_study", "study_files"), 4),
    # The package itself hands out the API.
    "": 4,
}
# Parts of one layer that know nothing of each other.
APART = ("models", "criteria", "postprocess", "data", "metrics")
# Other people's packages and the lowest layer that may use them.
OUTSIDE = {
    "hydra": 4, "omegaconf": 4, "wandb": 4, "pytorch_lightning": 3, "matplotlib": 2,
    "albumentations": 1, "cv2": 1, "PIL": 1, "scipy": 1, "skimage": 1, "torchmetrics": 1,
}  # fmt: skip
# A script of its own: it starts a process that uses the API as a user would.
SCRIPTS = {"profiling.memory"}

MAX_FILE_LINES = 280
MAX_FUNCTION_LINES = 60


def source_files():
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    """`models.necks.top_down` for the file of that module; an empty name for the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in source_files()}


def imports(path):
    """Full names of all modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner.removeprefix("facedet.") in MODULES
                found.add(inner if is_module else node.module)
    return found


def own_imports(path):
    """Names below `facedet` that a file imports."""
    return {
        name.removeprefix("facedet").removeprefix(".")
        for name in imports(path)
        if name.split(".")[0] == "facedet"
    }


def layer(module):
    for prefix, level in LAYERS.items():
        if prefix == "" or module == prefix or module.startswith(f"{prefix}."):
            return level
    raise AssertionError(module)


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_every_module_has_a_layer(module):
    known = {prefix.split(".")[0] for prefix in LAYERS}
    assert module.split(".")[0] in known, f"{module}: say in which layer it lies"


@pytest.mark.parametrize("module", [name for name in MODULES if name not in SCRIPTS])
def test_imports_point_downwards(module):
    for other in own_imports(MODULES[module]):
        assert layer(other) <= layer(module), f"{module} imports {other or 'facedet'} above it"


@pytest.mark.parametrize("module", MODULES)
def test_neighbours_stay_apart(module):
    part = module.split(".")[0]
    others = {other.split(".")[0] for other in own_imports(MODULES[module])}
    if part in APART and layer(module) == 1:
        assert not (others & set(APART)) - {part}, f"{module} imports a neighbour: {others}"
    if part == "callbacks":
        assert "models" not in others, "a callback knows no network"


@pytest.mark.parametrize("module", MODULES)
def test_other_packages_stay_in_their_layer(module):
    for name in imports(MODULES[module]):
        lowest = OUTSIDE.get(name.split(".")[0], 0)
        assert layer(module) >= lowest, f"{module} imports {name}, which layer {lowest} may"


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_stay_short(module):
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{module}.{node.name} has {lines} lines"


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_nothing_is_called_by_what_it_is_not(module):
    assert not {"utils", "helpers", "common", "misc"} & set(module.split("."))


def test_importing_the_package_loads_nothing_heavy():
    imported = {name.split(".")[0] for name in top_imports(PACKAGE / "__init__.py")}
    assert not imported & {"torch", "hydra", "pytorch_lightning", "cv2", "facedet"}


def top_imports(path):
    """Modules that are loaded when the file is: not in functions, nor for type checkers only."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found
