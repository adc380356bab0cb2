"""The root of the project's own tests and of its suite; judge and bundled pipelines come with the plugin."""
