"""Chip i does stage i, batches follow each other: the overlap comes from the data, the program is a plain loop."""

import troupe
from troupe import in_, out

KERNELS = troupe.kernel("""
TROUPE_KERNEL(stage)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] * 2 + 1;
}
""")


@troupe.program
def pipeline(node, batches=16):
    results = []
    for batch in range(batches):
        data = node.tensor(4096)
        for chip in range(node.chips):
            following = node.alloc(4096)
            node.submit("stage", in_(data), out(following), on_chip=chip, name=f"batch {batch} stage {chip}")
            data = following
        results.append(data)
    assert all(node.read(result).get() == 2**node.chips - 1 for result in results), "2x + 1 at every stage"
    return len(results)


if __name__ == "__main__":
    with troupe.System(chips=3) as system:
        node = system.node()
        node.load(KERNELS)
        print(node.run(pipeline), "batches went through", node.chips, "chips")
