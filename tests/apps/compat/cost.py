"""What 256 small tasks over two chips cost a script: not a test. TROUPE_COMPAT_OBJECTS and PYTHONPATH as for the tests.

    python3 cost.py [rounds]
"""

import os
import statistics
import sys
import time

from simpler.task_interface import ArgDirection, ChipCallable, CoreCallable, DataType, TaskArgs, TensorArgType
from simpler.worker import Worker

TASKS = 256
IN, OUT = ArgDirection.IN, ArgDirection.OUT


def read(name):
    with open(os.path.join(os.environ["TROUPE_COMPAT_OBJECTS"], name + ".so"), "rb") as file:
        return file.read()


def args_of(a, b, c):
    args = TaskArgs()
    args.add_tensor(a.tensor((16,), DataType.FLOAT32), TensorArgType.INPUT)
    args.add_tensor(b.tensor((16,), DataType.FLOAT32), TensorArgType.INPUT)
    args.add_tensor(c.tensor((16,), DataType.FLOAT32), TensorArgType.OUTPUT_EXISTING)
    return args


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with Worker(3, platform="a2a3sim", runtime="tensormap_and_ringbuffer", device_ids=[0, 1]) as worker:
        add = worker.register(ChipCallable.build(
            [IN, IN, OUT], "add_entry", read("entries_tmr"), [(0, CoreCallable.build([IN, IN, OUT], read("add")))]))
        worker.init()
        chip = [[worker.alloc_child_tensor(i, (16,), DataType.FLOAT32) for _ in range(3)] for i in range(2)]
        host = [[worker.create_buffer(64) for _ in range(2)] for _ in range(2)]
        outs = [worker.create_buffer(64) for _ in range(TASKS)]
        kept = [args_of(*chip[i]) for i in range(2)]

        def submits(args_for):
            def orch_fn(orch, args, config):
                for i in range(TASKS):
                    orch.submit_next_level(add, args_for(i), config, worker=i & 1)
            return orch_fn

        rows = {"memory of the chips, arguments kept": submits(lambda i: kept[i & 1]),
                "memory of the chips, arguments made": submits(lambda i: args_of(*chip[i & 1])),
                "memory of the host, an output each": submits(lambda i: args_of(*host[i & 1], outs[i])),
                "no task": lambda orch, args, config: None}
        taken, processor = {name: [] for name in rows}, dict.fromkeys(rows, 0.0)
        for _ in range(rounds):
            for name, orch_fn in rows.items():
                begin, used = time.perf_counter(), time.process_time()
                worker.run(orch_fn)
                taken[name].append(1e6 * (time.perf_counter() - begin))
                processor[name] += 1e6 * (time.process_time() - used)
        for name, times in taken.items():
            print(f"{name:38s} least {min(times):7.0f}  median {statistics.median(times):7.0f}  "
                  f"processor time {processor[name] / rounds:7.0f} µs")


if __name__ == "__main__":
    main()
