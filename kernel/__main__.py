"""``python -m kernel`` is ``ebok``."""

import sys

from kernel.cli import main

sys.exit(main())
