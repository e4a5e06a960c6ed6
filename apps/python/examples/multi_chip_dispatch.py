"""Chips work at the same time; a host function in Python checks what each has made, when it is made."""

import troupe
from troupe import in_, out, scalar

KERNELS = troupe.kernel("""
TROUPE_KERNEL(add_for_chip)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i] + k.scalar<float>(0);
}
""")
checked = []


@troupe.host_function
def check_chip(c, expected):
    assert (c == expected).all(), "2 + 3 + the chip's number"
    checked.append(expected)


@troupe.program
def multi_chip_dispatch(node):
    a, b = node.tensor((128, 128), fill=2.0), node.tensor((128, 128), fill=3.0)
    for chip in range(node.chips):
        c = node.alloc((128, 128))  # freed when its reader is done
        node.submit("add_for_chip", in_(a), in_(b), out(c), scalar(float(chip)), on_chip=chip)
        node.submit(check_chip, in_(c), scalar(5.0 + chip))


if __name__ == "__main__":
    with troupe.System(chips=2) as system:
        node = system.node()
        node.load(KERNELS)
        node.run(multi_chip_dispatch)
        assert sorted(checked) == [5, 6]
        print("each chip made what it was to make")
