"""`python -m monitor` is the `monitor` command, and so is the installed script."""


def main() -> None:
    """Run the command line."""
    # A worker process imports what the program was started from, and has no use for the command line: 100 MB.
    from monitor.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
