"""``python -m contrastbench.cli``: the same as the command ``contrastbench``."""

from contrastbench.cli import main

if __name__ == "__main__":  # not where a process that draws imports it
    main()
