"""Rules about the source itself: one test per rule, which lists every offender."""

import ast
from pathlib import Path

import facedet

PACKAGE = Path(facedet.__file__).parent
# A folder, or a file at the top, imports from its own layer's folder and from layers below it.
LAYERS = (
    {"structures", "boxes", "box_coder", "errors", "files", "tables", "allocator", "option_types"},
    {"models", "criteria", "metrics", "data"},
    {"inference", "plots", "profiling"},
    {"modules", "callbacks", "loggers", "data.datamodule"},
    {"config", "config_store"},
    {"weights", "export"},
    {"api", "detections"},
    {"prediction"},
    {"app"},
    {"training"},
    {"evaluation"},
    {"sweeps"},
    {"reproduce"},
    {"commands"},
    {"cli", "__main__"},
    {"__init__"},
)
# Other people's packages, and the lowest layer that may use them.
OUTSIDE = {
    "albumentations": 1, "cv2": 1, "PIL": 1, "scipy": 1, "skimage": 1, "torchmetrics": 1,
    "matplotlib": 2, "pytorch_lightning": 3, "wandb": 3, "hydra": 4, "omegaconf": 4,
    "gradio": 8,
}  # fmt: skip
MAX_FILES_IN_FOLDER = 16
MAX_FILE_LINES = 280
MAX_FUNCTION_LINES = 60


def module_name(path):
    """`models.necks.top_down` for a file, `models` for its folder, `__init__` for the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports(module):
    """Full names of all modules that a file names, also in functions and in calls of importlib."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if name.removeprefix("facedet.") in MODULES}
            found |= modules | ({node.module} if len(modules) < len(inner) else set())
        elif isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def own_imports(module):
    """Modules of the package that a file imports; the package itself is `__init__`."""
    names = {name for name in imports(module) if name.split(".")[0] == "facedet"}
    return {name.removeprefix("facedet").removeprefix(".") or "__init__" for name in names}


def layer(module):
    for name in (module, module.split(".")[0]):
        for level, names in enumerate(LAYERS):
            if name in names:
                return level
    return None


def test_every_module_has_a_layer():
    assert [module for module in MODULES if layer(module) is None] == []


def test_imports_point_downwards():
    # The version number is the package's own.
    found = []
    for module in MODULES:
        for other in own_imports(module) - {"__init__"}:
            is_neighbour = other.split(".")[0] != module.split(".")[0]
            if layer(other) > layer(module) or (
                layer(other) == layer(module) == 1 and is_neighbour
            ):
                found.append(f"{module} imports {other}")
    assert found == []


def test_no_circle_of_files():
    below = {module: own_imports(module) - {"__init__"} for module in MODULES}
    while leaves := [module for module, others in below.items() if not others & below.keys()]:
        for module in leaves:
            del below[module]
    assert sorted(below) == []


def test_a_callback_knows_no_network():
    assert [
        f"{module} imports {other}"
        for module in MODULES
        for other in own_imports(module)
        if module.startswith("callbacks") and other.startswith("models")
    ] == []


def test_other_packages_stay_in_their_layer():
    assert [
        f"{module} imports {name}"
        for module in MODULES
        for name in imports(module)
        if OUTSIDE.get(name.split(".")[0], 0) > layer(module)
    ] == []


def test_folders_files_and_functions_stay_short():
    folders = {path.parent for path in MODULES.values()}
    found = [
        f"{folder} has {count} files"
        for folder in folders
        if (count := len(list(folder.glob("*.py")))) > MAX_FILES_IN_FOLDER
    ]
    for module, path in MODULES.items():
        if (lines := len(path.read_text().splitlines())) > MAX_FILE_LINES:
            found.append(f"{module} has {lines} lines")
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found.append(f"{module}.{node.name} has {lines} lines")
    assert found == []


def test_a_family_of_files_is_a_folder():
    """No three files of one folder begin with the same word."""
    found = []
    for folder in {path.parent for path in MODULES.values()}:
        firsts = [path.stem.split("_")[0] for path in folder.glob("*.py") if path.stem[0] != "_"]
        found += [f"{folder.name}/{first}*" for first in set(firsts) if firsts.count(first) > 2]
    assert found == []


def test_nothing_is_called_by_what_it_is_not():
    bad = {"utils", "helpers", "common", "misc"}
    assert [module for module in MODULES if bad & set(module.split("."))] == []
