"""numpy arrays as tensors, and tensors as numpy arrays: no copies, the promises of host views, what is refused."""

import array
import ctypes
import os

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar


def scale(node, x, by):
    node.submit("scale", inout(x), scalar(by))


def test_an_array_is_an_argument_where_it_lies(node):
    x = np.ones(1000, "f4")
    node.run(scale, x, 2.0)
    assert (x == 2).all()


def test_views_of_an_array_keep_their_order_in_a_run(node):
    x = np.ones(64, "f4")

    def program(node):
        node.submit("scale", inout(x[32:]), scalar(2.0))
        node.submit("scale", inout(x), scalar(3.0))
        node.submit("scale", inout(x[1:]), scalar(5.0))

    node.run(program)
    assert x[0] == 3 and (x[1:32] == 15).all() and (x[32:] == 30).all()


def test_functions_and_one_chip_write_parts_of_an_array_at_the_same_time():
    def add(a):
        a += 10

    with troupe.System(platform="a2a3sim", chips=1, sub_workers=1) as system:
        node = system.node()
        node.load(os.environ["TROUPE_TEST_KERNELS"])
        for _ in range(30):
            x = np.ones((8, 20_000), "f4")

            def program(node, x=x):
                for _ in range(2):
                    for row in x[::2]:
                        node.submit_sub(add, inout(row))
                    for row in x[1::2]:
                        node.submit("scale", inout(row), scalar(2.0))

            node.run(program)
            assert (x[::2] == 21).all() and (x[1::2] == 4).all()


def test_strided_arrays_are_tensors(node):
    x = np.ones((8, 8), "f4")
    node.run(scale, x[:, 2:4], 2.0)
    assert (x[:, 2:4] == 2).all() and x.sum() == 64 + 16
    node.run(scale, x[::2], 3.0)
    assert x[0, 0] == 3 and x[1, 0] == 1
    node.run(scale, x.T, 2.0)
    assert x[0, 0] == 6


def test_the_buffer_protocol_is_enough(node):
    x = array.array("f", [1.0, 2.0])
    node.run(scale, x, 2.0)
    assert list(x) == [2, 4]
    y = bytearray(np.ones(3, "f4").tobytes())
    node.run(scale, memoryview(y).cast("f"), 2.0)
    assert np.frombuffer(y, "f4").tolist() == [2, 2, 2]


def test_arrays_of_ctypes_are_tensors(node):
    """Their buffers have no strides, whoever asks for them."""
    x = (ctypes.c_float * 4)(1, 2, 3, 4)
    node.run(scale, x, 2.0)
    assert list(x) == [2, 4, 6, 8]
    rows = ((ctypes.c_int * 3) * 2)()
    rows[1][2] = 7
    assert node.run(lambda node: node.read_all(rows).get()).tolist() == [[0, 0, 0], [0, 0, 7]]
    assert node.run(lambda node: node.read_all(memoryview(rows)[1:]).get()).tolist() == [[0, 0, 7]]


def released():
    view = memoryview(bytearray(8))
    view.release()
    return view


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: np.ones(4, "c8"), "is no tensor"),
        (lambda: np.ones(4, ">f4"), "other order"),
        (lambda: np.array(["a", "b"]), "is no tensor"),
        (lambda: np.float32(1).reshape(()), "without dimensions"),
        (lambda: np.ones(4, "f4")[::-1], "backwards"),
        (lambda: np.ones((1,) * 6, "f4"), "dimensions"),
        (lambda: [1.0, 2.0], "is no tensor"),
        (lambda: None, "is no tensor"),
        (lambda: np.zeros(4, [("a", "f4"), ("b", "i1")])["a"], "backwards"),
        (lambda: np.zeros(4, "M8[s]"), "does not lend its memory"),
        (lambda: np.zeros(4, "O"), "is no tensor"),
        (lambda: np.zeros(4, "V0"), "is no tensor"),
        (lambda: np.ma.array([1.0, 2.0], mask=[0, 1]), "masked"),
        (lambda: released(), "does not lend its memory"),
        (lambda: ctypes.c_float(3), "without dimensions"),
        (lambda: (ctypes.c_float.__ctype_be__ * 4)(), "other order"),
    ],
)
def test_arrays_that_are_no_tensors_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(troupe.Error, match=sentence):
        in_(make())


def test_read_only_arrays_are_read_and_not_written(node):
    x = np.frombuffer(np.ones(4, "f4").tobytes(), "f4")
    y = np.zeros(4, "f4")
    node.run(lambda node: node.submit("add", in_(x), in_(x), out(y)))
    assert (y == 2).all()
    for tag in (inout, out, troupe.out_existing):
        with pytest.raises(troupe.Error, match="read-only"):
            tag(x)


def test_an_array_without_elements_is_a_tensor(node):
    node.run(scale, np.zeros((0, 3), "f4"), 2.0)


def test_a_live_array_keeps_the_promise_of_host_views(node):
    x = node.tensor((4, 4), fill=1.0)
    seen = x.numpy()
    node.run(scale, x, 2.0)
    assert (seen == 2).all()
    seen[0, 0] = 100
    node.run(scale, x, 2.0)
    assert seen[0, 0] == 200 and seen[1, 1] == 4
    before = x.numpy(writable=False)
    assert not before.flags.writeable
    with pytest.raises(ValueError):
        before[0] = 1


def test_a_view_outlives_its_tensor_and_its_system():
    system = troupe.System(chips=1)
    view = system.node().tensor(1000, fill=3.0).numpy()
    system.close()
    assert (view == 3).all()
    view[:] = 4
    assert view.sum() == 4000


def test_an_array_of_a_tensor_is_the_tensor(node):
    x = node.tensor(16, fill=1.0)
    view = x.numpy()

    def program(node):
        node.submit("scale", inout(view[8:]), scalar(2.0))
        node.submit("scale", inout(x), scalar(3.0))

    node.run(program)
    assert (view[:8] == 3).all() and (view[8:] == 6).all()


def test_reads_of_an_array_within_its_run_see_what_tasks_wrote(node):
    x = np.ones(8, "f4")
    fixed = np.frombuffer(np.ones(2, "f4").tobytes(), "f4")

    async def program(node):
        node.submit("scale", inout(x), scalar(2.0), on_chip=1)
        first, every = await node.read(x), await node.read_all(x[4:])
        node.submit("scale", inout(x), scalar(3.0), on_chip=0)
        await node.fetch(x)
        return first, every.tolist(), x.tolist(), await node.read(fixed)

    assert node.run(program) == (2, [2] * 4, [6] * 8, 1)


def test_a_fetch_of_a_device_tensor_gives_a_copy_to_look_at(node):
    there = node.chip(1).malloc((2, 2))

    async def program(node):
        node.fill(there, 3.0)
        seen = await node.fetch(there)
        node.fill(there, 4.0)
        return seen.numpy().tolist()

    assert node.run(program) == [[3, 3], [3, 3]]


def test_gaps_are_refused_with_the_way_round(node):
    x = node.tensor((4, 4))
    assert x[0:2].numpy().shape == (2, 4)
    with pytest.raises(troupe.Error) as raised:
        x[:, 1:2].numpy()
    assert raised.value.code == "not_contiguous"


def test_every_element_type_goes_there_and_back(node):
    for name in ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]:
        x = node.tensor(3, name, fill=1)
        assert x.dtype == name
        assert x.numpy().dtype == np.dtype(name)
        assert x.numpy().tolist() == [1, 1, 1]
        in_(x.numpy().copy())

        async def read(node, x=x):
            return await node.read(x), await node.read_all(x)

        first, all_of_them = node.run(read)
        assert first == 1 and all_of_them.dtype == np.dtype(name) and all_of_them.tolist() == [1, 1, 1]


def test_bfloat16_is_seen_as_bits(node):
    x = node.tensor(2, "bfloat16", fill=1.5)
    with pytest.raises(troupe.Error, match="bits"):
        x.numpy()
    assert x.numpy(bits=True).tolist() == [0x3FC0, 0x3FC0]
    assert node.run(lambda node: node.read(x).get()) == 1.5


def test_types_are_named_as_numpy_does_and_ambiguous_ones_refused(node):
    for name in ["f4", "float32", "f32", np.float32, np.dtype("f4"), "<f4"]:
        assert node.tensor(1, name).dtype == "float32"
    for name in ["i8", "u8", "nonsense", 4, float, "complex64", np.dtype(">f4")]:
        with pytest.raises(troupe.Error):
            node.tensor(1, name)


def test_shapes(node):
    assert node.tensor(3).shape == (3,) and node.tensor([2, 3]).shape == (2, 3)
    assert node.tensor(np.array([2, 3])).shape == (2, 3) and node.tensor(np.int16(4)).shape == (4,)
    for shape in [(), (-1,), (1, 2, 3, 4, 5, 6), (2**40, 2**40)]:
        with pytest.raises(troupe.Error):
            node.tensor(shape)
    for shape, sentence in [
        ("four", "'four' is no shape"),
        (2.5, "2.5 is no shape"),
        (None, "None is no shape"),
        ((2, "x"), "an extent of a shape is a whole number, and 'x' is none"),
        (2**32, "from 0 to 4294967295, and 4294967296 is not"),
        (2**64 - 1, "from 0 to 4294967295, and 18446744073709551615 is not"),
        (-3, "and -3 is not"),
    ]:
        with pytest.raises(troupe.Error, match=sentence):
            node.tensor(shape)
    with pytest.raises(troupe.Error, match="128, 64"):
        node.tensor(2.5)
    assert node.tensor((0, 2)).numpy().shape == (0, 2)


def test_slices_are_views(node):
    x = node.tensor((4, 6))
    x.numpy()[:] = np.arange(24).reshape(4, 6)
    assert x[1].shape == (6,) and x[1].numpy().tolist() == [6, 7, 8, 9, 10, 11]
    assert x[-1, 2:4].numpy().tolist() == [20, 21]
    assert x[1:3].shape == (2, 6) and len(x) == 4 and x.size == 24 and x.nbytes == 96 and x.ndim == 2
    assert x[3:1].shape == (0, 6) and x[2:100].shape == (2, 6)
    assert x.T.shape == (6, 4) and x.reshape(24).shape == (24,) and x.reshape(2, 12).shape == (2, 12)
    assert x[0, 0].shape == (1,)
    for wrong in [lambda: x[4], lambda: x[0, 0, 0], lambda: x[::2], lambda: x["a"]]:
        with pytest.raises((troupe.Error, IndexError)):
            wrong()
    assert "f32[4, 6]" in repr(x)


def test_np_asarray_looks_at_a_tensor(node):
    assert np.asarray(node.tensor(2, fill=3.0)).tolist() == [3, 3]


def test_a_large_array_goes_through_a_run_without_a_copy(run_python):
    """256 MiB, of which host functions change the ends: no address but its own, and no peak of memory."""
    code, out_, err = run_python(
        """
        import resource
        import numpy as np
        import troupe
        from troupe import in_, inout

        x = np.ones(64 << 20, "f4")
        addresses = []

        def look(a):
            addresses.append(a.__array_interface__["data"][0])
            a[0] += 1
            a[-1] += 2

        with troupe.System(chips=1) as system:
            node = system.node()
            node.run(lambda node: node.submit_sub(look, inout(np.ones(4, "f4"))))
            addresses.clear()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(3):
                node.run(lambda node: node.submit_sub(look, inout(x)))
            for _ in range(100):
                in_(x)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert x[0] == 4 and x[-1] == 7 and x[1] == 1
        assert set(addresses) == {x.__array_interface__["data"][0]} and len(addresses) == 3
        assert peak < 16 << 10, f"{peak} KiB more"
        """
    )
    assert code == 0, err


def test_an_array_that_is_let_go_is_kept_until_its_run_ends(node):
    async def program(node):
        y = node.tensor(1 << 16)
        node.submit("add", in_(np.full(1 << 16, 2, "f4")), in_(np.full(1 << 16, 3, "f4")), out(y))
        del_me = [np.zeros(1 << 16, "f4") for _ in range(8)]
        del del_me
        return (await node.read_all(y)).sum()

    assert node.run(program) == 5 * (1 << 16)


def test_scalars_have_the_type_that_was_meant():
    assert scalar(1).type == "i64" and scalar(True).type == "bool" and scalar(0.5).type == "f32"
    assert scalar(2**63).type == "u64" and scalar(np.int8(3)).type == "i8" and scalar(np.float64(1)).type == "f64"
    assert scalar(1.0, "float64").type == "f64" and scalar(3, np.uint8).type == "u8" and scalar(1, "f4").value == 1.0
    assert scalar(np.bool_(True)).value is True
    for value, *type_ in [(2**64,), (-(2**63) - 1,), (300, "int8"), (1e300,), ("a",), (np.ones(2),), (2, "bool"), (None,)]:
        with pytest.raises((troupe.Error, TypeError)):
            scalar(value, *type_)


def test_an_integer_is_read_as_any_integer_type_that_holds_it(node):
    x = node.tensor(1, "int32")
    node.run(lambda node: node.submit("count_up", inout(x), scalar(5)))
    assert x.numpy()[0] == 5
    with pytest.raises(troupe.Error):
        node.run(lambda node: node.submit("count_up", inout(x), scalar(5.0)))


def test_arguments_without_a_tag_are_refused(node):
    x = node.tensor(1)
    for wrong, sentence in [((x,), "in_"), ((np.ones(1, "f4"),), "in_"), ((2.0,), "scalar"), (("a",), "no argument")]:

        def program(node):
            with pytest.raises(troupe.Error, match=sentence):
                node.submit("scale", *wrong)

        node.run(program)
