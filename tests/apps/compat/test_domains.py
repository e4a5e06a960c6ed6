"""Windows that chips share: ranks by position, several domains, and what is refused."""

import pytest
from compat_support import IN, INOUT, OUT, of, packed, shared, task

from simpler.task_interface import CommBufferSpec

N = 8


def spec(name="x"):
    return CommBufferSpec(name, "float32", N, 4 * N + 4)


def sums(w, orch, chip, domain, workers, ins, outs, cfg, together):
    args = [task(w, (ins[i], IN), (domain[i].buffers["x"].tensor((N,), 0), INOUT), (outs[i], OUT),
                 scalars=[domain[i].domain_size, domain[i].device_ctx]) for i in workers]
    if together:
        orch.submit_next_level_group(chip, args, cfg, workers=list(workers))
    else:
        for one, i in zip(args, workers):
            orch.submit_next_level(chip, one, cfg, worker=i)


@pytest.mark.parametrize("workers", [(2, 0, 1), (1,), (0, 2), (3, 1, 2, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_ranks_are_places_in_the_list(worker, runtime, workers, together):
    ins, outs = [shared([10**i] * N) for i in range(4)], [shared([0] * N) for _ in range(4)]
    w = worker(3, init=False, runtime=runtime, device_ids=[0, 1, 2, 3])
    chip = w.register(packed("all_sum", runtime))
    w.init()
    ranks = []

    def orch_fn(orch, args, cfg):
        with orch.allocate_domain(name="d", workers=list(workers), window_size=4096, buffers=[spec("y"), spec()]) as d:
            assert w.live_domains == {"d": d} and d.workers == workers
            for rank, i in enumerate(workers):
                context = d[i]
                ranks.append((context.domain_rank, context.domain_size, context.actual_window_size >= 4096))
                assert context.buffers["x"].base == context.local_window_base + 4 * N + 4
            sums(w, orch, chip, d, workers, ins, outs, cfg, together)
        assert w.live_domains == {}
        with pytest.raises(RuntimeError):
            d[workers[0]]

    for _ in range(2):
        w.run(orch_fn)
    assert ranks == [(rank, len(workers), True) for rank in range(len(workers))] * 2
    total = sum(10**i for i in workers)
    assert [of(outs[i])[0] for i in range(4)] == [total if i in workers else 0 for i in range(4)]


def test_domains_one_after_the_other_and_side_by_side(worker):
    ins, outs = [shared([i + 1] * N) for i in range(2)], [shared([0] * N) for _ in range(2)]
    w = worker(3, init=False, device_ids=[0, 1])
    chip = w.register(packed("all_sum"))
    w.init()

    def orch_fn(orch, args, cfg):
        for _ in range(3):
            with orch.allocate_domain(name="again", workers=[0, 1], window_size=512, buffers=[spec()]) as d:
                sums(w, orch, chip, d, (0, 1), ins, outs, cfg, True)
        one = orch.allocate_domain(name="one", workers=[0, 1], window_size=512, buffers=[spec()])
        other = orch.allocate_domain(name="other", workers=[1, 0], window_size=512, buffers=[spec()])
        with pytest.raises((ValueError, RuntimeError)):
            orch.allocate_domain(name="one", workers=[0], window_size=512)
        sums(w, orch, chip, one, (0, 1), ins, outs, cfg, False)
        sums(w, orch, chip, other, (0, 1), outs, ins, cfg, False)
        orch.release_domain(one)
        other.release()
        other.release()

    w.run(orch_fn)
    assert of(outs[0]) == of(outs[1]) == [3] * N and of(ins[0]) == of(ins[1]) == [6] * N
    w.run(lambda orch, args, cfg: None)


def test_domains_that_cannot_be(worker):
    w = worker(3, device_ids=[0, 1])
    wrong = [dict(workers=[]), dict(workers=[0, 0]), dict(workers=[0, 2]), dict(workers=[-1]), dict(window_size=0),
             dict(buffers=[spec(), spec()]), dict(window_size=8, buffers=[spec()])]

    def orch_fn(orch, args, cfg):
        for one in wrong:
            with pytest.raises((ValueError, RuntimeError)):
                orch.allocate_domain(**{"name": "d", "workers": [0, 1], "window_size": 512, **one})
        assert w.live_domains == {}

    w.run(orch_fn)
    w.submit(orch_fn).wait(timeout=60)
