"""The session of the plugin: options, settings, questions, materials."""
