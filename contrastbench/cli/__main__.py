"""``python -m contrastbench.cli``: the same as the command ``contrastbench``."""

from contrastbench.cli import main

main()
