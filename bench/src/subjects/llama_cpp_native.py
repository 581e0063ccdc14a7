"""llama.cpp called natively: the library that PyPI's llama-cpp-python builds, through its low-level C API.

Speaks the protocol of subjects (see ../serve.ts): one JSON object a line in, one out. The first line out says what
was loaded and how long it took. Arguments: the GGUF file and the number of threads.
"""

import ctypes
import os
import resource
import sys

from subject import serve, timed


class Subject:
    def __init__(self, llama, path, threads, context, batch):
        self.llama = llama
        llama.llama_backend_init()
        parameters = llama.llama_model_default_params()
        self.model = llama.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            raise RuntimeError(f"llama.cpp does not load {path}")
        options = llama.llama_context_default_params()
        options.n_ctx = context
        options.n_batch = options.n_ubatch = batch
        options.n_threads = options.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, options)
        if not self.context:
            raise RuntimeError("llama.cpp makes no context")
        self.batch = llama.llama_batch_init(batch, 0, 1)
        self.position = 0

    def clear(self):
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)
        self.position = 0

    def run(self, ids):
        """Runs tokens at once and reads the logits after the last one."""
        batch = self.batch
        batch.n_tokens = len(ids)
        for index, token in enumerate(ids):
            batch.token[index] = token
            batch.pos[index] = self.position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index == len(ids) - 1
        status = self.llama.llama_decode(self.context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        self.position += len(ids)
        logits = self.llama.llama_get_logits_ith(self.context, len(ids) - 1)
        return logits[0]

    def logits(self, size):
        pointer = self.llama.llama_get_logits_ith(self.context, -1)
        return [pointer[i] for i in range(size)]

    def prefill(self, ids):
        self.clear()
        return timed(lambda: self.run(ids))

    def decode(self, prompt, ids):
        self.clear()
        self.run(prompt)

        def each():
            for token in ids:
                self.run([token])

        return timed(each)


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    import llama_cpp as llama

    # What the library logs must not mix with the answers.
    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    folder = os.environ.get("MARIANA_BENCH_GGML_BACKENDS")
    if folder is not None:
        # Prebuilt libraries have one file for each kind of processor, and choose among them.
        ggml = ctypes.CDLL(os.path.join(folder, "libggml.so"))
        ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
        ggml.ggml_backend_load_all_from_path(folder.encode())
    made = []
    loading = timed(lambda: made.append(Subject(llama, path, threads, 1024, 512)))
    subject = made[0]

    def logits(ids, size):
        subject.clear()
        subject.run(ids)
        return {"logits": subject.logits(size)}

    greeting = {
        "loadMs": loading["ms"],
        "otherCores": loading["otherCores"],
        "about": f"llama-cpp-python {llama.__version__}",
        "system": llama.llama_print_system_info().decode(),
    }
    memory = lambda: {"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    serve(greeting, {"prefill": subject.prefill, "decode": subject.decode, "logits": logits, "memory": memory})


main()
