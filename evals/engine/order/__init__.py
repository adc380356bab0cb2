"""The order of what is asked: what the tests that follow will ask, and turns that build on earlier ones."""
