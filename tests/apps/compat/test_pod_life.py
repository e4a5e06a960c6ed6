"""Level 4: workers of workers, from the outside."""

import pytest
from compat_support import IN, INOUT, OUT, of, packed, shared, task

from simpler.task_interface import CallConfig, TaskArgs
from simpler.worker import Worker


def pod(worker, children, devices=1, subs=0, top_subs=0):
    w = worker(4, init=False, num_sub_workers=top_subs)
    below = [Worker(level=3, platform="a2a3sim", runtime="tensormap_and_ringbuffer", device_ids=list(range(devices)),
                    num_sub_workers=subs) for _ in range(children)]
    assert [w.add_worker(child) for child in below] == list(range(children))
    return w, below


def test_results_go_up_down_and_across(worker):
    n = 16
    x, y, z = shared([1] * n), shared([0] * n), shared([0] * n)
    w, below = pod(worker, 2, devices=2, top_subs=1)
    chips = [child.register(packed("add")) for child in below]

    def doubles(orch, args, cfg):
        chip = chips[below.index(orch._worker)]
        t = TaskArgs()
        t.add_tensor(args.tensor(0), IN)
        t.add_tensor(args.tensor(0), IN)
        t.add_tensor(args.tensor(1), OUT)
        for i in range(args.scalar_count()):
            assert args.scalar(i) == 7 + i
        orch.submit_next_level(chip, t, cfg, worker=1)

    def adds_one(args):
        a, b = (memoryview(arg.buffer).cast("f") for arg in args)
        for i, value in enumerate(a):
            b[i] = value + 1

    double, one = w.register(doubles), w.register(adds_one)
    w.init()

    def orch_fn(orch, args, cfg):
        orch.submit_next_level(double, task(w, (x, IN), (y, OUT), scalars=[7, 8]), cfg, worker=0)
        orch.submit_sub(one, task(w, (y, IN), (z, OUT)))
        orch.submit_next_level(double, task(w, (z, IN), (x, OUT)), worker=1)
        orch.submit_next_level_group(double, [task(w, (x, IN), (y, OUT)), task(w, (x, IN), (z, OUT))], cfg, workers=[1, 0])

    w.run(orch_fn, None, CallConfig())
    assert of(x) == [6] * n and of(y) == of(z) == [12] * n
    w.submit(orch_fn).wait(timeout=120)
    assert of(x) == [26] * n
    w.close()
    w.close()
    for child in below:
        child.close()


def test_what_fails_below_is_told_above_and_the_next_run_works(worker):
    out = shared([0] * 4)
    w, below = pod(worker, 2)
    fatal, chip = below[0].register(packed("fatal")), below[0].register(packed("add"))
    kinds = {"fatal": lambda orch: orch.submit_next_level(fatal, task(below[0], scalars=[23]), worker=0),
             "raise": lambda orch: (_ for _ in ()).throw(LookupError("below")),
             "good": lambda orch: orch.submit_next_level(chip, task(below[0], (out, IN), (out, IN), (out, INOUT)), worker=0)}
    wanted = []

    def does(orch, args, cfg):
        kinds[wanted[0]](orch)

    h = w.register(does)
    w.init()
    for kind, sentence in (("fatal", "run failed with code -23"), ("raise", "LookupError: below")):
        wanted[:] = [kind]
        with pytest.raises(RuntimeError, match=sentence):
            w.run(lambda orch, args, cfg: orch.submit_next_level(h, TaskArgs(), worker=0))
        wanted[:] = ["good"]
        w.run(lambda orch, args, cfg: orch.submit_next_level(h, TaskArgs(), worker=0))
    for wrong in (-1, 2):
        with pytest.raises(ValueError):
            w.run(lambda orch, args, cfg: orch.submit_next_level(h, TaskArgs(), worker=wrong))
