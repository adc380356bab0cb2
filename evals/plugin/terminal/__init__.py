"""The terminal as the plugin writes to it: the screen, the live line, what pytest has for it."""
