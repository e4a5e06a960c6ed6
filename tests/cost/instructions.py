#!/usr/bin/env python3
"""Instructions that one more task takes, for the things that the cost program can do.

    instructions.py PROGRAM             what each takes, as a table
    instructions.py PROGRAM LIMITS      fails when one takes more than its limit, by more than a few percent

The count is callgrind's for 2 N tasks less that for N, on one thread that never waits: it depends on the program and
the compiler, not on the machine or its mood. The limits are what was counted last; lower them when less is needed.
"""
import json
import re
import subprocess
import sys

TOLERANCE = 1.03  # addresses differ from run to run, and with them the order in hash tables
TASKS = {"run": 200, "awaited": 500, "group-64": 50}


def instructions(program, what, count):
    out = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, what, str(count)],
        capture_output=True, text=True, timeout=300)
    found = re.search(r"Collected : (\d+)", out.stderr)
    if out.returncode != 0 or not found:
        sys.exit(f"{what}: callgrind did not count:\n{out.stderr}")
    return int(found.group(1))


def marginal(program, what):
    count = TASKS.get(what, 1000)
    return (instructions(program, what, 2 * count) - instructions(program, what, count)) / count


def main():
    program = sys.argv[1]
    names = subprocess.run([program], capture_output=True, text=True).stderr.split()
    names = names[names.index("is:") + 1:]
    limits = {}
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            limits = json.load(file)
        if sorted(limits) != sorted(names):
            sys.exit(f"the limits are of {sorted(limits)}, the program can do {sorted(names)}")
    failed = False
    for name in names:
        took = marginal(program, name)
        verdict = ""
        if name in limits:
            verdict = f"  limit {limits[name]:>9,}"
            if took > limits[name] * TOLERANCE:
                failed, verdict = True, verdict + "  MORE THAN BEFORE"
            elif took < limits[name] / TOLERANCE:
                verdict += "  less than before: lower the limit"
        print(f"{name:16} {took:11,.0f}{verdict}", flush=True)
    if failed:
        sys.exit("a task costs more instructions than before; if it has to be so, raise its limit and say why")


if __name__ == "__main__":
    main()
