"""Local language models: GGUF files run by llama.cpp."""
