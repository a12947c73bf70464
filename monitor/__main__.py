"""`python -m monitor` and `monitor` are the command line."""


def main() -> None:
    """Run it."""
    # Not before it is wanted: a worker process imports the module that the program was started by.
    from monitor.cli import main as run

    run()


if __name__ == "__main__":
    main()
