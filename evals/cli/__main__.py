"""`python -m evals.cli`: the command where its script is not at hand."""

import sys

from evals.cli.main import main

sys.exit(main())
