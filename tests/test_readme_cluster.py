"""The README about clusters: what it has one copy is understood by who reads it."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from typer.main import get_command

import distill_tune
from distill_tune.cli import app

README = Path(distill_tune.__file__).parents[1] / "distill_tune/cluster/README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"distill-tune search [^\n\"`]*(?:\"\$[^\"]*\"[^\n\"`]*)*", TEXT)


def block(language: str, beginning: str) -> str:
    """Return the only block of a language that begins so."""
    (found,) = [text for name, text in BLOCKS if name == language and text.startswith(beginning)]
    return str(found)


def test_ray_accepts_the_file_of_a_cloud() -> None:
    config: dict[str, Any] = yaml.safe_load(block("yaml", "cluster_name"))
    assert config["max_workers"] >= config["available_node_types"]["gpu"]["max_workers"]
    validate_config(prepare_config(config | {"cluster_synced_files": []}))


def test_bash_accepts_the_script_of_slurm() -> None:
    script = block("bash", "#!/bin/bash")
    done = subprocess.run(
        ["/bin/bash", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_job_of_kubernetes_has_a_head_and_workers_of_one_image() -> None:
    job: dict[str, Any] = yaml.safe_load(block("yaml", "apiVersion: ray.io/v1"))
    assert job["kind"] == "RayJob"
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {c["image"] for group in groups for c in group["template"]["spec"]["containers"]}
    assert len(groups) == 2
    assert len(images) == 1


@pytest.mark.parametrize("line", COMMANDS)
def test_our_command_line_accepts_every_command(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    given = command.make_context(name, arguments).params
    assert given["address"]
    assert given["storage"]
