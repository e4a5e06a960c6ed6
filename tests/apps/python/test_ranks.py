"""Programs that are a rank each: they meet, put and get, notify and wait, and have collectives of arrays."""

import itertools
import os
import threading

import numpy as np
import pytest

import troupe

BYTES = 1 << 21
_numbers = itertools.count()


def meeting():
    """A name that nobody else has, in whatever process."""
    return f"test of Python {os.getpid()} {next(_numbers)}"


def ranks(count, program, **options):
    """Runs it as so many ranks, a thread each; what each returned, or raised."""
    name, came = meeting(), [None] * count

    def one(rank):
        try:
            with troupe.Communicator(rank, count, name, **options) as comm:
                comm.alloc_windows(BYTES)
                came[rank] = program(comm)
        except Exception as error:
            came[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_a_text_is_passed_on_and_seen_when_it_is_notified():
    def program(comm):
        text = np.zeros(5, "u1")
        if comm.rank == 0:
            assert not comm.test(1, 0, "==", 1)
            comm.put(1, 64, np.frombuffer(b"hello", "u1"))
            comm.fence()
            comm.notify(1, 0, 1)
        else:
            comm.wait_until(1, 0, "==", 1)
            comm.get(1, 64, text)
            assert comm.test(1, 0, ">=", 1) and comm.test(1, 0, "<", 2)
        comm.barrier()
        return bytes(text), comm.window_size, repr(comm)

    first, second = ranks(2, program)
    assert first == (bytes(5), BYTES, "<troupe.Communicator, rank 0 of 2>")
    assert second[0] == b"hello"


@pytest.mark.parametrize("word", ["int32", "uint32", "int64", "uint64"])
def test_words_are_counted_up_by_all(word):
    def program(comm):
        comm.notify(0, 8, comm.rank + 1, "add", word)
        comm.wait_until(0, 8, "==", 6, word, timeout=60)
        return comm.test(0, 8, "!=", 6, word)

    assert ranks(3, program) == [False] * 3


@pytest.mark.parametrize("algorithm", ["automatic", "one_phase", "two_phase", "ring", "bidirectional_ring"])
@pytest.mark.parametrize("count", [1, 3])
def test_collectives_do_to_arrays_what_they_say(count, algorithm):
    size = 1000

    def program(comm):
        all_of = comm.collectives()
        assert (all_of.rank, all_of.ranks) == (comm.rank, count)
        x = np.full(size, comm.rank + 1, "f4")
        total, least = np.zeros(size, "f4"), np.zeros(size, "f4")
        all_of.all_reduce(x, total, algorithm=algorithm)
        all_of.all_reduce(x, least, operation="min", algorithm=algorithm)
        all_of.all_reduce(x, algorithm=algorithm)
        assert (x == total).all() and (total == count * (count + 1) / 2).all() and (least == 1).all()
        mine = np.full(all_of.part_of(size), comm.rank, "i4")
        whole = np.zeros(size, "i4")
        all_of.all_gather(mine, whole)
        part = np.zeros(all_of.part_of(size), "f4")
        all_of.reduce_scatter(total, part, operation="max")
        assert (part == total[0]).all()
        said = np.array([comm.rank + 5], "i8")
        all_of.broadcast(said, root=count - 1)
        given = np.arange(2 * count, dtype="u2") + 10 * comm.rank
        taken = np.zeros(2 * count, "u2")
        all_of.all_to_all(given, taken)
        all_of.barrier()
        all_of.reset()
        return sorted(set(whole)), said[0], taken.tolist()

    for rank, (parts, said, taken) in enumerate(ranks(count, program)):
        assert parts == list(range(count)) and said == count + 4
        assert taken == [10 * other + 2 * rank + i for other in range(count) for i in range(2)]


def test_tensors_of_a_system_are_arrays_here_too(system):
    node = system.node()

    def program(comm):
        x = node.tensor(8, fill=comm.rank + 1.0)
        comm.collectives().all_reduce(x)
        return x.numpy().tolist()

    assert ranks(2, program) == [[3.0] * 8] * 2


def test_an_exception_in_one_rank_ends_the_waits_of_the_others():
    def program(comm):
        if comm.rank == 1:
            raise ValueError("on purpose")
        comm.barrier()

    first, second = ranks(2, program)
    assert isinstance(second, ValueError)
    assert first.code in ("aborted", "peer_lost") and "rank 1" in str(first)


def test_who_does_not_come_is_named():
    def program(comm):
        if comm.rank == 0:
            with pytest.raises(troupe.Error) as raised:
                comm.wait_until(0, 0, "==", 1, timeout=0)
            return raised.value.code

    assert ranks(2, program) == ["deadline", None]
    with pytest.raises(troupe.Error) as raised:
        troupe.Communicator(0, 2, meeting(), timeout=0).alloc_windows(4096)
    assert raised.value.code == "deadline" and "rank 1" in str(raised.value)


def test_abort_ends_a_wait_from_another_thread():
    comm = troupe.Communicator(0, 2, meeting(), timeout=60)
    began = threading.Event()
    codes = []

    def waits():
        began.set()
        with pytest.raises(troupe.Error) as raised:
            comm.alloc_windows(4096)
        codes.append(raised.value.code)

    thread = threading.Thread(target=waits)
    thread.start()
    began.wait()
    comm.abort()
    thread.join()
    assert codes == ["aborted"]


def test_ctrl_c_ends_a_wait(run_python):
    import signal

    def interrupt(process):
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)

    code, out, err = run_python(
        """
        import os, troupe
        comm = troupe.Communicator(0, 2, f"ctrl-c of a test {os.getpid()}")
        try:
            print("waits", flush=True)
            comm.alloc_windows(4096)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        signals=interrupt,
    )
    assert (code, out) == (0, "interrupted\n"), err


def test_what_is_wrong_is_said_in_a_sentence():
    for given in [(2, 2, "x"), (0, 0, "x"), (0, 2, "")]:
        with pytest.raises(troupe.Error):
            troupe.Communicator(*given)
    for given, options in [((-1, 2, "x"), {}), ((0, 2, 3), {}), (("0", 2, "x"), {}), ((0, 1, "x"), {"timeout": "long"})]:
        with pytest.raises(troupe.Error) as raised:
            troupe.Communicator(*given, **options)
        assert raised.value.code == "bad_argument"
    with pytest.raises(troupe.Error, match="not made by calling|Collectives"):
        troupe.Collectives()
    lonely = troupe.Communicator(0, 1, meeting())
    assert repr(lonely) == "<troupe.Communicator, rank 0 of 1, without windows>"
    for early in [lambda: lonely.put(0, 0, np.zeros(1)), lambda: lonely.collectives(), lambda: lonely.barrier(), lonely.fence]:
        with pytest.raises(troupe.Error) as raised:
            early()
        assert raised.value.code == "wrong_state"

    def program(comm):
        all_of = comm.collectives()
        x = np.zeros(4, "f4")
        wrong = [
            lambda: comm.put(1, 0, x),
            lambda: comm.put(0, BYTES - 3, x),
            lambda: comm.put(0, -1, x),
            lambda: comm.put(0, 0, "text"),
            lambda: comm.get(0, 0, b"read only"),
            lambda: comm.put(0, 0, np.zeros((4, 4))[:, 1]),
            lambda: comm.notify(0, 2, 1),
            lambda: comm.notify(0, 0, 1, "multiply"),
            lambda: comm.notify(0, 0, 1, type="float32"),
            lambda: comm.notify(0, 0, 1.5),
            lambda: comm.notify(0, 0, 1 << 40),
            lambda: comm.wait_until(0, 0, "=", 1),
            lambda: comm.test(0, BYTES, "==", 1),
            lambda: all_of.all_reduce(x, np.zeros(5, "f4")),
            lambda: all_of.all_reduce(x, operation="product"),
            lambda: all_of.all_reduce(x, algorithm="fast"),
            lambda: all_of.all_reduce(np.zeros(4, "f8")),
            lambda: all_of.all_gather(np.zeros(3, "f4"), x),
            lambda: all_of.reduce_scatter(x, np.zeros(3, "f4")),
            lambda: all_of.all_to_all(x, np.zeros(4, "i4")),
            lambda: all_of.broadcast(x, root=1),
            lambda: comm.collectives(nbytes=64),
            lambda: comm.collectives(offset=BYTES),
            lambda: comm.alloc_windows(4096),
        ]
        for call in wrong:
            with pytest.raises(troupe.Error):
                call()
        return all_of

    lonely.destroy()
    lonely.destroy()
    (kept,) = ranks(1, program)
    with pytest.raises(troupe.Error) as raised:
        kept.barrier()
    assert raised.value.code == "wrong_state"


def test_two_threads_are_not_one_rank():
    comm = troupe.Communicator(0, 2, meeting(), timeout=60)
    ended = []

    def waits():
        while not ended:  # the other thread's call may be the first one
            try:
                comm.alloc_windows(4096)
            except troupe.Error as error:
                if "two threads" not in str(error):
                    ended.append(error.code)

    thread = threading.Thread(target=waits)
    thread.start()
    words = "without windows"
    while "without windows" in words and thread.is_alive():
        with pytest.raises(troupe.Error) as raised:
            comm.barrier()
        words = str(raised.value)
    comm.abort()
    thread.join()
    assert "two threads" in words and ended == ["aborted"]
