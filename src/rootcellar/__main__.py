"""`python -m rootcellar`, and what the frozen binary starts."""

import sys

from rootcellar.cli import main

if __name__ == "__main__":
    sys.exit(main())
