"""Two runs compared: pairs, what else differs, flips, contexts, costs."""
