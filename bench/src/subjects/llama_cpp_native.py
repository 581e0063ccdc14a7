"""llama.cpp called natively: the library that PyPI's llama-cpp-python builds, through its low-level C API.

Speaks the protocol of subjects (see ../protocol.ts): one JSON object a line in, one out. The first line out says what
was loaded and how long it took. Arguments: the GGUF file and the number of threads.
"""

import ctypes
import json
import os
import resource
import sys
import time


def busy_seconds():
    """Seconds that the cores have spent on anything at all, stolen time included; None where the system has no /proc."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    except OSError:
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(work):
    """Runs `work` and says how long it took, how much of the cores it used, and how many others did."""
    busy, own, start = busy_seconds(), own_seconds(), time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    own = own_seconds() - own
    others = None if busy is None else max(0.0, busy_seconds() - busy - own) / seconds
    return {"ms": seconds * 1e3, "cpuMs": own * 1e3, "otherCores": others}


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
    say(
        {
            "loadMs": loading["ms"],
            "otherCores": loading["otherCores"],
            "about": f"llama-cpp-python {llama.__version__}",
            "system": llama.llama_print_system_info().decode(),
        }
    )
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prefill":
            say(subject.prefill(request["ids"]))
        elif request["do"] == "decode":
            say(subject.decode(request["prompt"], request["ids"]))
        elif request["do"] == "logits":
            subject.clear()
            subject.run(request["ids"])
            say({"logits": subject.logits(request["size"])})
        elif request["do"] == "memory":
            say({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
        else:
            break


def say(answer):
    print(json.dumps(answer), flush=True)


main()
