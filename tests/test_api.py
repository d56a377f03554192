"""What is public exists, is documented and annotated; imports go one way, and are few."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jdl
from jdl import Layer

ROOT = Path(__file__).parent.parent
TOP = [
    "layer",
    "factory",
    "Layer",
    "Param",
    "State",
    "Key",
    "Training",
    "Variables",
    "supervised",
    "learner",
    "fit",
    "run",
    "evaluate",
    "predict",
    "summary",
    "save",
    "load",
]
PUBLIC = [
    "nn",
    "losses",
    "decode",
    "metrics",
    "optim",
    "tree",
    "models",
    "train",
    "train.checkpoint",
    "testing",
    "data",
    "plot",
    "callbacks",
    "inspect",
]
HEAVY = [
    "matplotlib",
    "orbax",
    "safetensors",
    "rich",
    "flax.linen",
    "flax.nnx",
    "sklearn",
    "treescope",
    "sybil",
    "hypothesis",
]


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(jdl.__path__, "jdl.")
    names = [info.name for info in found if not info.name.endswith("__main__")]
    return [jdl, *map(importlib.import_module, names)]


def names_of(module: ModuleType) -> list[str]:
    """The public names: `__all__`, or what the module itself defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def objects() -> dict[str, object]:
    """Functions, classes and layers of jdl's own, by the name that a user writes."""
    found = {}
    for module in [jdl, *(importlib.import_module(f"jdl.{name}") for name in PUBLIC)]:
        for name in names_of(module):
            value = getattr(module, name)
            own = isinstance(value, Layer) or (
                (inspect.isroutine(value) or inspect.isclass(value))
                and value.__module__.startswith("jdl")
            )
            if own:
                found[f"{module.__name__}.{name}"] = value
    return found


OBJECTS = objects()


def methods(kind: type) -> list:
    """The public functions that a class defines itself."""
    values = [getattr(v, "fget", getattr(v, "__func__", v)) for v in vars(kind).values()]
    return [
        v
        for v in values
        if inspect.isfunction(v)
        and not v.__name__.startswith("_")
        and v.__module__.startswith("jdl")
    ]


def test_there_is_something_to_look_at():
    assert {"jdl.fit", "jdl.nn.dense", "jdl.losses.mse", "jdl.data.load"} <= OBJECTS.keys()
    assert "jdl.nn.relu" not in OBJECTS
    assert {f"jdl.{name}" for name in PUBLIC} <= {module.__name__ for module in modules()}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_a_module_has_a_docstring_and_exports_what_exists(module):
    assert module.__doc__
    exported = getattr(module, "__all__", [])
    assert [name for name in exported if not hasattr(module, name)] == []
    assert len(set(exported)) == len(exported)
    assert [name for name in exported if name.startswith("_")] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_a_package_exports_all_that_it_shows(name):
    """No function or class is within reach of a user that `__all__` does not name."""
    module = importlib.import_module(f"jdl.{name}")
    if not hasattr(module, "__path__"):
        return
    shown = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, ModuleType)
    }
    assert shown == {
        n for n in module.__all__ if not isinstance(getattr(module, n), ModuleType)
    }


@pytest.mark.parametrize("name", TOP)
def test_the_names_of_the_design_are_at_the_top(name):
    assert name in jdl.__all__
    assert callable(getattr(jdl, name))


def test_modules_are_within_reach_of_the_top():
    names = [name.rsplit(".", 1)[-1] for name in PUBLIC]
    assert set(names) <= set(jdl.__all__)
    assert all(isinstance(getattr(jdl, name), ModuleType) for name in names)


@pytest.mark.parametrize("name", OBJECTS)
def test_the_public_is_documented(name):
    value = OBJECTS[name]
    text = value.__doc__ or ""
    assert len(text.split()) >= 3, f"{name} has no docstring"
    assert not text.startswith(f"{name.rsplit('.', 1)[-1]}("), f"{name}: made by NamedTuple"
    if inspect.isclass(value):
        bare = [m.__qualname__ for m in methods(value) if not m.__doc__]
        assert bare == []


@pytest.mark.parametrize("name", [n for n, v in OBJECTS.items() if not isinstance(v, Layer)])
def test_the_public_is_annotated(name):
    value = OBJECTS[name]
    for function in methods(value) if inspect.isclass(value) else [value]:
        signature = inspect.signature(function)
        bare = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
        ]
        assert bare == [], f"{function.__qualname__}{signature}"
        assert signature.return_annotation is not signature.empty, function.__qualname__


def test_imports_go_one_way():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_importing_jdl_imports_nothing_heavy():
    code = "import sys, jdl; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"jdl", "jax", "optax"} <= loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_version_is_that_of_the_package():
    assert f'version = "{jdl.__version__}"' in (ROOT / "pyproject.toml").read_text()
