"""What depends on what follows from the data: rows of one array on two chips, then all of it, in program order."""

import numpy as np

import troupe
from troupe import inout, scalar

KERNEL = """
TROUPE_KERNEL(times)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.extent(0); ++i) {
    for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) *= k.scalar<float>(0);
  }
}
"""


@troupe.program
def dependencies(node, size=64):
    x = np.ones((size, size), "f4")
    node.submit("times", inout(x[: size // 2]), scalar(2.0), on_chip=0)  # these two run beside each other
    node.submit("times", inout(x[size // 2 :]), scalar(3.0), on_chip=1)
    node.submit("times", inout(x), scalar(5.0))  # waits for both
    node.submit("times", inout(x[:, :8]), scalar(7.0))  # and this one for that
    return node.read_all(x).get()


if __name__ == "__main__":
    with troupe.System(chips=2) as system:
        node = system.node()
        node.load(troupe.kernel(KERNEL))
        x = node.run(dependencies)
        assert (x[0, 0], x[0, 63], x[63, 0], x[63, 63]) == (70, 10, 105, 15)
        print("in the order of the program")
