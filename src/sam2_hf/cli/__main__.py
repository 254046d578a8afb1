"""`python -m sam2_hf.cli`, the command line for launchers: `accelerate launch -m sam2_hf.cli`."""

import sys

from .program import main

if __name__ == "__main__":
    sys.exit(main())
