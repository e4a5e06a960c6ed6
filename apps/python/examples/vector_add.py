"""One kernel on one chip: numpy arrays in, a numpy array out, nothing copied by hand."""

import numpy as np

import troupe
from troupe import in_, out

KERNEL = """
TROUPE_KERNEL(add_vectors)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (auto i = k.first(); i < c.size(); i += k.step()) c[i] = a[i] + b[i];
}
"""


@troupe.program
def vector_add(node, elements=1024):
    a, b, c = np.full(elements, 2, "f4"), np.full(elements, 3, "f4"), np.empty(elements, "f4")
    node.submit("add_vectors", in_(a), in_(b), out(c))
    node.drain()
    return node.read_all(c).get()


if __name__ == "__main__":
    with troupe.System(chips=1) as system:
        node = system.node()
        node.load(troupe.kernel(KERNEL))
        assert (node.run(vector_add) == 5).all()
        print("2 + 3 = 5, a thousand times")
