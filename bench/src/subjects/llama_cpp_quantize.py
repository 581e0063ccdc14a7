"""Quantises a GGUF file with llama.cpp's own Q4_0, every matrix alike: `llama_cpp_quantize.py <f16.gguf> <out.gguf>`."""

import sys

import llama_cpp

source, target = sys.argv[1:]
params = llama_cpp.llama_model_quantize_default_params()
params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
params.pure = True
params.nthread = 1
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), params))
