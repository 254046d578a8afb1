"""The Space; see `python app.py --help` for its flags."""

import sys

from sam2_space.program import main

if __name__ == "__main__":
    sys.exit(main())
