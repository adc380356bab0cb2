"""Native code: how llama.cpp is built and tried on this machine, and the processes that models run in."""
