"""Lays out the wheel: what the repository has beside the package goes into contrastbench/suite (see pyproject.toml)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONTENT = (
    *("baselines/*.py", "benchmarks/*.py", "benchmarks/*/*.py", "benchmarks/*/*.csv", "slurm/*.toml"),
    *("results/*/rows.jsonl", "results/*/*.csv", "results/*/figures/*.svg"),
)
# A folder without __init__.py gives way to any package of its name; and papers of the user's own stay possible.
SHARED = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'


class BuildWithSuite(build_py):
    """Builds the package; for a wheel also its folder ``suite``, which the package takes for the project's folder."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        suite = Path(self.build_lib, "contrastbench", "suite")
        shutil.rmtree(suite, ignore_errors=True)
        for path in (path for pattern in CONTENT for path in sorted(Path().glob(pattern))):
            (suite / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, suite / path)
        for package in ("baselines", "benchmarks"):
            (suite / package / "__init__.py").write_text(SHARED)


setup(cmdclass={"build_py": BuildWithSuite})
