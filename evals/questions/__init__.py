"""Questions: their files and sets, where their sources stand, other tools' formats."""
