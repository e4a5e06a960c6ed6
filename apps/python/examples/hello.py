import troupe

with troupe.System(chips=2) as system:
    system.node().run(lambda node: node.submit_sub(lambda: print("hello from a task")))
