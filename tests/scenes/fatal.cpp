// What ends a chip program: each fatal condition with its own code, nothing copied back, nothing hanging. A
// program goes on after it, as programs do: every call does nothing then.
#include <stdexcept>

#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(fatal_touch)(KernelArgs& k) { k.tensor<float>(0)[0] = 1; }
TROUPE_KERNEL(fatal_fill)(KernelArgs& k) {
  for (float& x : k.tensor<float>(0)) x = 1;
}
TROUPE_KERNEL(fatal_throw)(KernelArgs&) { throw std::runtime_error("on purpose"); }
TROUPE_KERNEL(fatal_wait)(KernelArgs& k) {
  k.wait_until(k.tensor<std::int32_t>(1)[0], Compare::equal, std::int32_t{1});
}
TROUPE_KERNEL(fatal_raise)(KernelArgs& k) { k.notify(k.tensor<std::int32_t>(0)[0], std::int32_t{1}); }

// 1: a graph that is built before launch is alive as a whole, and the window is smaller.
TROUPE_CHIP_PROGRAM_WITH(fatal_scope, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  for (int i = 0; i < 8; ++i) chip.aiv("fatal_touch", inout(args.tensor(0)));
}
// 2: what this scope holds does not fit. It is the question at the end that makes this an error: a program
// that simply returned would end its scope, and its tasks would run one after the other in what memory there
// is.
TROUPE_CHIP_PROGRAM(fatal_heap)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  Tensor last = x;
  for (int i = 0; i < 16; ++i) last = chip.aiv("fatal_fill", out_new<float>({256}));
  chip.set(x, chip.get<float>(last, 0), 0);
}
// 3: the window is full of tasks that wait for one which does not fit into it.
TROUPE_CHIP_PROGRAM(fatal_window)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  const auto flag = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.aiv("fatal_wait", inout(x), in(flag));
  for (int i = 0; i < 8; ++i) chip.aiv("fatal_touch", inout(x));
  chip.aiv("fatal_raise", no_dep(flag));
}
// 4: more edges than the pool holds, and no task may start before all are there.
TROUPE_CHIP_PROGRAM_WITH(fatal_pool, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  auto before = chip.aiv("fatal_touch", inout(args.tensor(0)));
  for (int i = 0; i < 8; ++i) {
    const auto next = chip.aiv("fatal_touch", inout(args.tensor(0)));
    chip.edge(before, next);
    before = next;
  }
}
// 5
TROUPE_CHIP_PROGRAM(fatal_arguments)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(0)), blocks(0));
}
TROUPE_CHIP_PROGRAM(fatal_too_few)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(7)));
}
// 6: one task with more producers than the whole pool.
TROUPE_CHIP_PROGRAM_WITH(fatal_producers, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = inout(args.tensor(0));
  ChipTaskId made[5];
  for (auto& task : made) task = chip.aiv("fatal_touch", x);
  chip.aiv("fatal_touch", x, after(made[0]), after(made[1]), after(made[2]), after(made[3]), after(made[4]));
}
// 7: see also the sync_start scenes.
TROUPE_CHIP_PROGRAM(fatal_sync_start)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(0)), blocks(1000), sync_start);
}
// 8: a graph that is built before launch has no values yet; and one whose task waits for what comes after.
TROUPE_CHIP_PROGRAM_WITH(fatal_element, TROUPE_CHIP_RUNTIME_HOST_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  chip.aiv("fatal_touch", inout(x));
  chip.set(x, chip.get<float>(x, 0) + 1, 1);
}
TROUPE_CHIP_PROGRAM(fatal_element_of_a_waiter)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  const auto flag = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.aiv("fatal_wait", inout(x), in(flag));
  chip.set(x, chip.get<float>(x, 0), 0);
  chip.aiv("fatal_raise", no_dep(flag));
}
// 9, and a program that goes on.
TROUPE_CHIP_PROGRAM(fatal_reported)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  chip.aiv("fatal_touch", inout(x));
  chip.report_fatal("the table is inconsistent");
  auto scope = chip.scope();
  const auto nothing = chip.aiv("fatal_fill", out_new<float>({16}));
  chip.set(x, chip.get<float>(nothing, 0), 0);
  chip.report_fatal(77, "too late: the first code is the run's");
  for (int i = 0; i < 1000; ++i) chip.aiv("fatal_touch", inout(x), blocks(0));
}
// 100
TROUPE_CHIP_PROGRAM_WITH(fatal_cycle, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  const auto first = chip.aiv("fatal_touch", inout(args.tensor(0)));
  const auto second = chip.aiv("fatal_touch", inout(args.tensor(0)));
  chip.edge(first, second);
  chip.edge(second, first);
}
// No fatal of the graph, but an end all the same: a kernel that fails, and a wait that nobody can end.
TROUPE_CHIP_PROGRAM(fatal_kernel)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(0)));
  chip.aiv("fatal_throw", inout(args.tensor(0)));
  chip.aiv("fatal_touch", inout(args.tensor(0)));
}
TROUPE_CHIP_PROGRAM(fatal_flag)(ChipOrchestrator& chip, ChipArgs args) {
  const auto flag = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.aiv("fatal_wait", inout(args.tensor(0)), in(flag));
}

namespace troupe::scenes {

std::vector<Scene> fatal_scenes() {
  struct Fatal {
    const char* program;
    std::int32_t code;
    const char* variable = "PTO2_RING_TASK_WINDOW";
    const char* value = "16384";
  };
  std::vector<Scene> scenes;
  for (const Fatal& fatal : {Fatal{"fatal_scope", 1, "PTO2_RING_TASK_WINDOW", "4"},
                             {"fatal_heap", 2, "PTO2_RING_HEAP", "8192"},
                             {"fatal_window", 3, "PTO2_RING_TASK_WINDOW", "4"},
                             {"fatal_pool", 4, "PTO2_RING_DEP_POOL", "4"},
                             {"fatal_arguments", 5},
                             {"fatal_too_few", 5},
                             {"fatal_producers", 6, "PTO2_RING_DEP_POOL", "4"},
                             {"fatal_sync_start", 7},
                             {"fatal_element", 8},
                             {"fatal_element_of_a_waiter", 8},
                             {"fatal_reported", 9},
                             {"fatal_cycle", 100},
                             {"fatal_kernel", TROUPE_DEVICE_KERNEL_FAILED},
                             {"fatal_flag", TROUPE_DEVICE_DEADLOCK}}) {
    Scene scene;
    scene.name = scene.callable = fatal.program;
    scene.cases = {{.name = "code",
                    .fails_with = fatal.code,
                    .environment = {{fatal.variable, fatal.value}},
                    .options = {{"memory_bytes", "1048576"}}}};
    scene.make = [](SceneArgs& args, const SceneParams&) { args.inout<float>("x", {16}); };
    scenes.push_back(scene);
  }
  return scenes;
}

}  // namespace troupe::scenes
