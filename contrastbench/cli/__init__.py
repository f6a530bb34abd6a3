"""The command line; ``contrastbench --help`` documents it. Its commands stand in the files beside this one."""


def main() -> None:
    """The command ``contrastbench``. Its parts take a second to import; Ctrl-C ends that as quietly as a command."""
    try:
        from contrastbench.cli.commands import run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()
