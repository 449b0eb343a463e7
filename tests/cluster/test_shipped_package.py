"""A cluster's processes run the package that joined it, whatever the nodes have installed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import distill_tune
from distill_tune.cluster.resources import cluster
from tests.commands import write_package

pytestmark = pytest.mark.slow
JOINS = """
import sys
import ray
from distill_tune.cluster.resources import cluster

@ray.remote
def look():
    import distill_tune
    try:
        from of_the_job import NAME
    except ImportError:
        NAME = "nothing"
    return distill_tune.__version__, NAME

with cluster(sys.argv[1]):
    print(*ray.get(look.remote()))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Ray on this machine, with an old version of ours for its workers."""
    folder = tmp_path_factory.mktemp("old")
    write_package(folder, "distill_tune", '__version__ = "0.0.1"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        # Another Ray than the one that tests share.
        ray.shutdown()
        with cluster(None):
            yield ray.get_runtime_context().gcs_address


@pytest.mark.parametrize("brings", [False, True])
def test_it_goes_along_with_what_a_job_brings(
    address: str, tmp_path: Path, *, brings: bool
) -> None:
    script = tmp_path / "joins.py"
    script.write_text(JOINS)
    variables = {"PYTHONPATH": str(Path(distill_tune.__file__).parents[1])}
    if brings:
        its_own = write_package(tmp_path / "job", "of_the_job", 'NAME = "its own"')
        job = {"runtime_env": {"py_modules": [str(its_own)]}, "metadata": {}}
        variables["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(job)
    done = subprocess.run(
        [sys.executable, str(script), address],
        env=os.environ | variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    expected = "its own" if brings else "nothing"
    assert done.stdout.strip() == f"{distill_tune.__version__} {expected}"
