"""`python -m rag_evals.evals.cli`: the command where its script is not at hand."""

import sys

from rag_evals.evals.cli.main import main

sys.exit(main())
