"""A chip dies under a task, which is tried again; a task that fails is caught, and the program goes on."""

import troupe
from troupe import in_, out, testing


def copy(x, y):
    y[:] = x


def broken(x):
    raise ValueError("on purpose")


async def careful(node, x, y):
    await node.submit("copy", in_(x), out(y), on_chip=1, retry=1)  # its chip dies the first time
    try:
        await node.submit("broken", troupe.inout(y))
    except troupe.Error as error:
        print("caught:", error.root.message.split("\n")[0])
    node.copy(y, x)  # start over: the run is fine


if __name__ == "__main__":
    with testing.Simulation(seed=7, chips=2) as sim:
        sim.kernel("copy", copy).kernel("broken", broken)
        sim.fault(testing.kill_chip(1).at(1))
        x, y = sim.node.tensor(4, fill=3.0), sim.node.tensor(4)
        sim.node.run(careful, x, y)
        assert (y.numpy() == 3).all() and sim.ran("copy") == 1
        print("and the run ended well")
