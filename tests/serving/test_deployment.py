"""The files of deploy/: what they name exists, versions are pinned, and nothing runs as root.

No image is built here, and no container started.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT

DEPLOY = ROOT / "deploy"
# https://docs.docker.com/reference/dockerfile/, without those that are deprecated.
INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
SECRET = re.compile(r"key|token|password|secret", re.IGNORECASE)
PINNED = re.compile(r"[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, with their arguments on one line."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    parts = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, arguments.strip()) for name, _, arguments in parts]


def compose() -> dict[str, Any]:
    """Return the Compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile."""
    return instructions(DEPLOY / "Dockerfile")


def of_kind(dockerfile: list[tuple[str, str]], name: str) -> list[str]:
    """Return the arguments of the instructions with a name."""
    return [arguments for kind, arguments in dockerfile if kind == name]


def test_every_instruction_is_known(dockerfile: list[tuple[str, str]]) -> None:
    assert {name for name, _ in dockerfile} <= INSTRUCTIONS
    assert all(arguments for _, arguments in dockerfile)
    assert dockerfile[0][0] == "FROM"


def test_the_dockerfile_copies_what_exists_and_is_not_ignored(
    dockerfile: list[tuple[str, str]],
) -> None:
    ignore_file = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sent = [line.removeprefix("!") for line in ignore_file if line.startswith("!")]
    sources = [
        source
        for arguments in of_kind(dockerfile, "COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
    assert sorted(sent) == sorted(sources)
    # The package is whole: what pyproject.toml names is there.
    assert {"README.md", "LICENSE", "pyproject.toml"} <= set(sources)


def test_stages_are_named_and_used(dockerfile: list[tuple[str, str]]) -> None:
    stages = re.findall(r" AS (\w+)", " ".join(of_kind(dockerfile, "FROM")))
    used = re.findall(r"--from=(\w+)", " ".join(of_kind(dockerfile, "COPY")))
    assert stages == used


def test_every_image_has_a_version(dockerfile: list[tuple[str, str]]) -> None:
    images = [arguments.split()[0] for arguments in of_kind(dockerfile, "FROM")]
    images += [service["image"] for service in compose()["services"].values()]
    assert len(images) >= 6
    for image in images:
        assert PINNED.fullmatch(image), image


def test_the_image_runs_as_a_user_and_checks_its_health(dockerfile: list[tuple[str, str]]) -> None:
    last_stage = dockerfile[max(i for i, (name, _) in enumerate(dockerfile) if name == "FROM") :]
    assert of_kind(last_stage, "USER")[-1] not in ("root", "0")
    [check] = of_kind(last_stage, "HEALTHCHECK")
    command = json.loads(check[check.index("CMD ") + 4 :])
    assert "/health" in command[-1]
    compile(command[-1], "HEALTHCHECK", "exec")
    # Without a shell: signals reach the server.
    for name in ("ENTRYPOINT", "CMD"):
        [arguments] = of_kind(last_stage, name)
        assert all(isinstance(word, str) for word in json.loads(arguments))


def test_no_file_has_a_secret(dockerfile: list[tuple[str, str]]) -> None:
    for arguments in of_kind(dockerfile, "ENV") + of_kind(dockerfile, "ARG"):
        for word in shlex.split(arguments):
            assert not SECRET.search(word.partition("=")[0]), word
    for name, service in compose()["services"].items():
        for variable in service.get("environment", {}):
            assert not SECRET.search(variable) or variable.endswith("__FILE"), (name, variable)
    files = [secret["file"] for secret in compose()["secrets"].values()]
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/deploy/secrets/" in ignored
    assert all(file.startswith("./secrets/") for file in files)


def test_the_dockerfile_pins_as_the_project_does(dockerfile: list[tuple[str, str]]) -> None:
    """The versions of constraints.txt, as the Dockerfile takes them from it."""
    runs = " ".join(of_kind(dockerfile, "RUN"))
    torch = re.search(r"torch==[\d.]+", (ROOT / "Makefile").read_text("utf-8"))
    assert torch and torch[0] in runs
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [re.sub(r" *\\$", "", line) for line in lines if re.match("[A-Za-z]", line)]
    assert "grep --extended-regexp '^[A-Za-z]' constraints.txt | sed 's/ *\\\\$//'" in runs
    assert len(pins) > 100
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[^\s\\]+( ; [^\\]+)?", pin), pin


def test_compose_reaches_no_other_machine_and_names_what_exists() -> None:
    found = compose()
    services = found["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            named = source in found["volumes"] or source.startswith("${")
            assert named or (DEPLOY / source).is_file(), (name, volume)
        for needed in service.get("depends_on", []):
            assert needed in services, (name, needed)
        for secret in service.get("secrets", []):
            assert secret in found["secrets"], (name, secret)
    build = services["aligners"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert {name for name, one in services.items() if "profiles" in one} == {
        "prometheus",
        "grafana",
    }


def test_addresses_lead_to_services_and_their_ports() -> None:
    services = compose()["services"]
    [scraped] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    [target] = scraped["static_configs"][0]["targets"]
    [source] = yaml.safe_load((DEPLOY / "grafana/datasource.yaml").read_text("utf-8"))[
        "datasources"
    ]
    addresses = [target, source["url"], *shlex.split(services["aligners"]["command"])]
    found = [
        (match[1], match[2])
        for address in addresses
        for match in re.finditer(r"(?:^|//)([a-z]+):(\d+)", address)
    ]
    assert sorted(found) == [("aligners", "8000"), ("llm", "8080"), ("prometheus", "9090")]
    assert "--port 8000" in services["aligners"]["command"]
    assert "--port 8080" in services["llm"]["command"]
    # The file with the key of Prometheus is one of its secrets.
    key = Path(scraped["authorization"]["credentials_file"])
    assert key.parent == Path("/run/secrets") and key.name in services["prometheus"]["secrets"]


def test_the_server_gets_options_that_it_has(dockerfile: list[tuple[str, str]]) -> None:
    """From any address it needs keys; a container has no other machine's 127.0.0.1."""
    from aligners.serving.options import ServeOptions

    command = shlex.split(compose()["services"]["aligners"]["command"])
    default = json.loads(of_kind(dockerfile, "CMD")[-1])
    known = {f"--{name.replace('_', '-')}" for name in ServeOptions.__dataclass_fields__}
    for words in (command, default):
        options = {word for word in words if word.startswith("--")}
        assert options <= known, options - known
        assert words[words.index("--host") + 1] == "0.0.0.0"
    assert "--key-file" in command
    grace = int(compose()["services"]["aligners"]["stop_grace_period"].removesuffix("s"))
    assert grace > ServeOptions(squad="").shutdown_seconds


# The dashboard


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    return json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))


def test_panels_name_metrics_and_labels_that_the_server_has() -> None:
    from aligners.serving.metrics import Metrics

    metrics = Metrics()
    metrics.watch_squad(lambda: 0, lambda: True)
    # Of prometheus_client: the labels of a collector, and the names of its samples.
    known = {
        name: set(collector._labelnames) | {"le"}
        for collector, names in metrics.registry._collector_to_names.items()
        for name in names
        if name.startswith("aligners_")
    }
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    used = set()
    for expression in expressions:
        [name] = re.findall(r"aligners_\w+", expression.split(" / ")[0])
        used |= set(re.findall(r"aligners_\w+", expression))
        labels = re.findall(r"(\w+)=~?\"", expression)
        labels += [
            part.strip() for by in re.findall(r"by \((.*?)\)", expression) for part in by.split(",")
        ]
        assert name in known, expression
        assert set(labels) <= known[name], expression
    assert used <= set(known)


def test_panels_do_not_overlap_and_have_a_source_that_is_provisioned() -> None:
    panels = dashboard()["panels"]
    [source] = yaml.safe_load((DEPLOY / "grafana/datasource.yaml").read_text("utf-8"))[
        "datasources"
    ]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"] and panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {one["uid"] for one in sources} == {source["uid"]}
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels) > 5
