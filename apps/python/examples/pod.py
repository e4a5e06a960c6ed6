"""Two nodes: the tasks of a pod are programs, which its nodes run."""

import numpy as np

import troupe
from troupe import inout, scalar


def double(x, by):
    x *= by


async def on_a_node(node, x, by):
    await node.submit_sub(double, inout(x), scalar(by))


def pod_program(pod, left, right):
    pod.submit(on_a_node, inout(left), scalar(2.0))
    pod.submit(on_a_node, inout(right), scalar(3.0), on_chip=1)


if __name__ == "__main__":
    with troupe.System(chips=1) as system:
        pod = system.pod(2)
        left, right = np.ones(8, "f4"), np.ones(8, "f4")
        pod.run(pod_program, left, right)
        assert (left == 2).all() and (right == 3).all()
        print("left", left[0], "right", right[0])
