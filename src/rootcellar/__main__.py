"""`python -m rootcellar`, and what the frozen binary starts; `worker` is for ourselves only."""

import sys


def main() -> int:
    """Run the command line, or become the database worker, which loads nothing that it does not need."""
    if sys.argv[1:] == ["worker"]:
        from rootcellar.sqlite import worker

        worker.main()
    from rootcellar import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
