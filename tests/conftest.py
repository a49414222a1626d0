"""Fixtures for all tests."""

import os

# One thread, as in the demo, so that sums do not depend on the load. Set before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from projects import ROOT, make_project

from aligners.configuration import recipes, workflow_files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest file first, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_workflow.py")


@pytest.fixture
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the project's directory, where recipes and their files are found."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary copy of the project, which a test may change, as the working directory."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow_files, "WORKFLOW", tmp_path)
    recipes.read_recipe.cache_clear()
    yield tmp_path
    recipes.read_recipe.cache_clear()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A fake engine for all LLMs; a test sets its `reply`."""
    fake = FakeEngine()
    monkeypatch.setattr("aligners.llms.generator.load_engine", fake.load)
    return fake
