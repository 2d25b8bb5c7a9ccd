"""`python -m harchos_infra.hub`, and the entry of the zipapp."""

import sys

from harchos_infra.hub.agent import main

if __name__ == "__main__":
    sys.exit(main())
