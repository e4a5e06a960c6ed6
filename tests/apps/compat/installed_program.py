"""A script as people have them, with nothing of troupe in it."""

import argparse
import array
import mmap
import os
import struct
import sys

from simpler.task_interface import ArgDirection, CallConfig, ChipCallable, CoreCallable, DataType, TaskArgs, TensorArgType
from simpler.worker import Worker

N = 256
seen = mmap.mmap(-1, 8)


def parse_devices(text):
    if "-" in text:
        first, last = text.split("-")
        return list(range(int(first), int(last) + 1))
    return [int(part) for part in text.split(",")]


def build(objects):
    def read(name):
        with open(os.path.join(objects, name + ".so"), "rb") as file:
            return file.read()

    d = ArgDirection
    add = CoreCallable.build([d.IN, d.IN, d.OUT], read("add"))
    return ChipCallable.build([d.IN, d.IN, d.OUT], "add_entry", read("entries_tmr"), [(0, add)])


def look(args):
    values = memoryview(args[0].buffer).cast("f")
    struct.pack_into("d", seen, 0, sum(values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--platform", required=True)
    parser.add_argument("-d", "--device", default="0")
    parser.add_argument("objects")
    options = parser.parse_args()
    devices = parse_devices(options.device)
    memory = {}
    for name in "abc":
        for i in devices:
            memory[name, i] = mmap.mmap(-1, 4 * N)
    for i in devices:
        memory["a", i][:] = array.array("f", range(N)).tobytes()
        memory["b", i][:] = array.array("f", [i] * N).tobytes()

    worker = Worker(level=3, platform=options.platform, runtime="tensormap_and_ringbuffer", device_ids=devices,
                    num_sub_workers=1)
    sub = worker.register(look)
    chip = worker.register(build(options.objects))
    worker.init()
    try:
        def orch_fn(orch, _args, cfg):
            for i in devices:
                args = TaskArgs()
                for name, tag in (("a", TensorArgType.INPUT), ("b", TensorArgType.INPUT),
                                  ("c", TensorArgType.OUTPUT_EXISTING)):
                    args.add_tensor(worker.make_tensor_arg(memory[name, i], (N,), DataType.FLOAT32.value), tag)
                orch.submit_next_level(chip, args, cfg, worker=i)
            last = TaskArgs()
            last.add_tensor(worker.make_tensor_arg(memory["c", devices[-1]], (N,), 0), TensorArgType.INPUT)
            orch.submit_sub(sub, last)

        worker.run(orch_fn, args=None, config=CallConfig())
    finally:
        worker.close()
    expected = sum(range(N)) + devices[-1] * N
    assert struct.unpack("d", seen[:])[0] == expected, struct.unpack("d", seen[:])
    print("it runs as it is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
