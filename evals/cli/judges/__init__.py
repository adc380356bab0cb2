"""The commands about judges: list them, measure one, try one."""
