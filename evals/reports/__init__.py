"""Reports of runs: terminal, Markdown, HTML, JUnit, GitHub, DataFrame."""
