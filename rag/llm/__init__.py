"""Language models: the protocol, local models through llama.cpp, and models behind a server."""
