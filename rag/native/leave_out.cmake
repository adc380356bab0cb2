# llama-cpp-python's CMakeLists.txt forces llama.cpp's library for command-line tools on, which the
# Python package never loads. A normal variable set before its project begins goes before the forced one.
set(LLAMA_BUILD_COMMON OFF)
