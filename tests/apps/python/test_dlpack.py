"""DLPack, both ways: tensors of other packages, which may have no buffer protocol, as torch's have none."""

import ctypes

import numpy as np
import pytest

import troupe
from troupe import in_, inout, out, scalar


class Foreign:
    """A tensor of another package; of numpy's memory."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **more):
        return self.array.__dlpack__(**more)

    def __dlpack_device__(self):
        return self.device


def scale(node, x, by):
    node.submit("scale", inout(x), scalar(by))


def test_dlpack_goes_both_ways(node):
    x = node.tensor(4, fill=2.0)
    seen = np.from_dlpack(x)
    node.run(scale, x, 2.0)
    assert (seen == 4).all()
    y = node.tensor(4)
    node.run(lambda node: node.submit("add", in_(Foreign(np.ones(4, "f4"))), in_(x), out(y)))
    assert (y.numpy() == 5).all()


def test_tensors_of_other_packages_are_written_where_they_lie(node):
    a = np.arange(16, dtype="f4").reshape(4, 4)
    node.run(scale, Foreign(a), 2.0)
    assert (a == 2 * np.arange(16).reshape(4, 4)).all()
    node.run(scale, Foreign(a[:, 1:3]), 0.0)
    assert (a[:, 1:3] == 0).all() and a[1, 0] == 8 and a[1, 3] == 14
    node.run(scale, Foreign(a.T), 2.0)
    node.run(lambda node: node.submit("add", in_(Foreign(a)), in_(Foreign(a)), out(Foreign(np.zeros((4, 4), "f4")))))
    assert a[1, 0] == 16
    for kind in ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]:
        array = np.ones(3, kind)
        node.run(lambda node: node.fill(Foreign(array), 5))
        assert array.tolist() == [5, 5, 5], kind
    node.run(scale, Foreign(np.zeros((0, 3), "f4")), 2.0)


def test_views_of_what_has_a_storage_keep_their_order_in_a_run(node):
    class Storage:
        def __init__(self, array):
            self.array = array

        def data_ptr(self):
            return self.array.__array_interface__["data"][0]

        def nbytes(self):
            return self.array.nbytes

    class Torch(Foreign):
        def __init__(self, array, whole):
            super().__init__(array)
            self.whole = whole

        def untyped_storage(self):
            return Storage(self.whole)

    x = np.ones(64, "f4")

    def program(node):
        node.submit("scale", inout(Torch(x[32:], x)), scalar(2.0))
        node.submit("scale", inout(Torch(x, x)), scalar(3.0))
        node.submit("scale", inout(Torch(x[1:], x)), scalar(5.0))

    node.run(program)
    assert x[0] == 3 and (x[1:32] == 15).all() and (x[32:] == 30).all()


def test_tensors_of_torch_are_arrays_where_it_is_installed(node):
    torch = pytest.importorskip("torch")
    x = torch.ones(16)
    node.run(scale, x, 3.0)
    assert (x == 3).all()
    whole = torch.ones(8)
    node.run(lambda node: [scale(node, whole[4:], 2.0), scale(node, whole, 3.0)])
    assert whole.tolist() == [3.0] * 4 + [6.0] * 4
    y = torch.from_dlpack(node.tensor(4, fill=2.0))
    assert y.tolist() == [2, 2, 2, 2]


def test_what_cannot_be_lent_is_an_error_in_a_sentence():
    class Raises(Foreign):
        def __dlpack__(self, **more):
            raise BufferError("this one requires grad")

    class Answers(Foreign):
        def __dlpack__(self, **more):
            return 3

    fixed = np.ones(4, "f4")
    fixed.flags.writeable = False
    for thing, sentence in [
        (Foreign(np.ones(4, "f4"), device=(2, 0)), "in the memory of a device"),
        (Foreign(np.ones(4, "f4"), device=None), "does not lend its memory"),
        (Foreign(np.ones(4, "c8")), "there are no tensors of the element type"),
        (Foreign(np.ones(4, "f4")[::-1]), "runs backwards"),
        (Foreign(np.array(1, "f4")), "without dimensions"),
        (Foreign(np.ones((1,) * 6, "f4")), "dimensions"),
        (Foreign(fixed), "does not lend its memory"),
        (Raises(fixed), "requires grad"),
        (Answers(fixed), "__dlpack__ returned 3, which is no tensor"),
        (Foreign, "no tensor"),
    ]:
        with pytest.raises(troupe.Error, match=sentence):
            in_(thing)


class Lender:
    """Lends what its description says, as one that knows version 1 of DLPack does, and counts what comes back."""

    class Tensor(ctypes.Structure):
        _fields_ = [
            ("major", ctypes.c_uint32),
            ("minor", ctypes.c_uint32),
            ("context", ctypes.c_void_p),
            ("deleter", ctypes.c_void_p),
            ("flags", ctypes.c_uint64),
            ("data", ctypes.c_void_p),
            ("device", ctypes.c_int32 * 2),
            ("dims", ctypes.c_int32),
            ("code", ctypes.c_uint8),
            ("bits", ctypes.c_uint8),
            ("lanes", ctypes.c_uint16),
            ("shape", ctypes.c_void_p),
            ("strides", ctypes.c_void_p),
            ("offset", ctypes.c_uint64),
        ]

    def __init__(self, array, shape=None, strides=None, **fields):
        self.array, self.back = array, 0
        self.shape = (ctypes.c_int64 * 8)(*(shape or array.shape))
        self.strides = (ctypes.c_int64 * 8)(*(strides or ()))

        def count(_):
            self.back += 1

        self.deleter = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(count)
        given = {"major": 1, "flags": 0, "dims": len(shape or array.shape), "code": 2, "bits": 32, "lanes": 1, "offset": 0, **fields}
        self.tensor = self.Tensor(
            data=array.__array_interface__["data"][0],
            deleter=ctypes.cast(self.deleter, ctypes.c_void_p),
            device=(1, 0),
            shape=ctypes.addressof(self.shape),
            strides=ctypes.addressof(self.strides) if strides else None,
            **given,
        )

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, *, max_version):
        assert max_version >= (1, 0)
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return make(ctypes.addressof(self.tensor), b"dltensor_versioned", None)


def test_what_is_lent_read_only_is_read_and_not_written_and_all_of_it_is_given_back(node):
    lent = Lender(np.arange(4, dtype="f4"), flags=1)
    y = np.zeros(4, "f4")
    node.run(lambda node: node.submit("add", in_(lent), in_(lent), out(y)))
    assert y.tolist() == [0, 2, 4, 6]
    with pytest.raises(troupe.Error, match="lent read-only"):
        inout(lent)
    with pytest.raises(troupe.Error, match="lent as a copy"):
        out(Lender(np.ones(4, "f4"), flags=2))
    strided = Lender(np.arange(16, dtype="f4"), shape=(4, 2), strides=(4, 1), offset=4)
    node.run(scale, strided, 2.0)
    assert strided.array.tolist() == [0, 2, 4, 3, 4, 10, 12, 7, 8, 18, 20, 11, 12, 26, 28, 15]
    bits = Lender(np.array([0x3FC0, 0x4000], "u2"), code=4, bits=16)
    assert node.run(lambda node: node.read(bits).get()) == 1.5
    while (lent.back, strided.back, bits.back) != (3, 1, 1):  # a thread of the node leaves it to who comes next
        node.run(lambda node: None)


def test_a_description_that_cannot_be_is_refused_and_given_back(node):
    array = np.ones(4, "f4")
    wrong = [
        {"shape": (-1,)},
        {"shape": (2**62, 2**62)},
        {"shape": (4,), "strides": (2**62,)},
        {"shape": (2**61,)},
        {"dims": -1},
        {"dims": 1000},
        {"lanes": 4},
        {"bits": 4},
        {"code": 9},
    ]
    for fields in wrong:
        lent = Lender(array, **fields)
        with pytest.raises(troupe.Error):
            in_(lent)
        while lent.back != 1:
            node.run(lambda node: None)
    later = Lender(array, major=2)  # whose layout nobody knows: its capsule gives it back when it goes
    with pytest.raises(troupe.Error, match="version 2"):
        in_(later)
    assert later.back == 0


def test_every_element_type_is_lent(node):
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    codes = {"float32": (2, 32), "float64": (2, 64), "float16": (2, 16), "bfloat16": (4, 16), "bool": (6, 8), "int8": (0, 8), "uint64": (1, 64)}
    for dtype, code in codes.items():
        capsule = node.tensor((2, 3), dtype).__dlpack__(max_version=(1, 0), dl_device=(1, 0))
        assert name(capsule) == b"dltensor"
        words = ctypes.string_at(pointer(capsule, b"dltensor"), 24)  # data, device type and id, dimensions, code, bits
        assert (words[20], words[21]) == code and int.from_bytes(words[16:20], "little") == 2, dtype
    for wrong in [{"dl_device": (2, 0)}, {"copy": True}, {"stream": 1}]:
        with pytest.raises(BufferError):
            node.tensor(1).__dlpack__(**wrong)


def test_what_was_lent_outlives_the_tensor_and_its_system():
    system = troupe.System(chips=1)
    x = system.node().tensor(1000, fill=3.0)
    for _ in range(100):
        x.__dlpack__()  # nobody takes it
    lent = np.from_dlpack(x)
    del x
    system.close()
    assert (lent == 3).all()
