"""The command line; ``contrastbench --help`` documents it. Its commands stand in the files beside this one."""

import gc


def main() -> None:
    """The command ``contrastbench``. Its parts take a second to import; Ctrl-C ends that as quietly as a command."""
    try:
        from contrastbench.cli.commands import app
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    from contrastbench.cli.app import end_on_sigterm

    gc.set_threshold(200_000, 20, 20)  # many small rows are read and kept: searching them for garbage finds none
    end_on_sigterm()
    app(prog_name="contrastbench")  # also as `python -m contrastbench.cli`: completion and usage go by it
