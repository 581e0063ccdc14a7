"""What the subjects in Python have in common: timing, and the protocol (see ../serve.ts), one JSON object a line."""

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


def say(answer):
    print(json.dumps(answer), flush=True)


def serve(greeting, handlers):
    """Greets, and answers requests by the handler that has their name until there are no more, or one is `stop`."""
    say(greeting)
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        if name == "stop":
            break
        say(handlers[name](**request))
