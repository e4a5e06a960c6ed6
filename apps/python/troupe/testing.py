"""For tests of programs: a whole node or pod on one thread, with kernels in Python, faults and a virtual clock.

    from troupe import testing

    with testing.Simulation(seed=7, chips=2) as sim:
        sim.kernel("step", lambda x: x.__iadd__(1))
        sim.fault(testing.kill_chip(1).at(3))
        sim.node.run(my_program)
        assert sim.ran_on(0) + sim.ran_on(1) == 10

`troupe.pytest_plugin` has it as a fixture.
"""

from ._core import _testing

Fault = _testing.Fault
Ran = _testing.Ran
Simulation = _testing.Simulation
delay = _testing.delay
drop = _testing.drop
fail = _testing.fail
fail_call = _testing.fail_call
hang = _testing.hang
kill = _testing.kill
kill_chip = _testing.kill_chip

__all__ = ["Fault", "Ran", "Simulation", "delay", "drop", "fail", "fail_call", "hang", "kill", "kill_chip"]
