// Does one thing through the actors so and so often, on one thread and without any waiting, so that how many
// instructions it takes depends on the program alone. instructions.py runs it under callgrind, once and with
// twice the count.
//   troupe_cost_program WHAT COUNT
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "levels/null_device.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace troupe::bench;

TROUPE_KERNEL(empty)(KernelArgs&) {}
TROUPE_MODULE("cost");

namespace {

/// Three views of one tensor.
void views(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  const auto a = x.slice(0, 0, 1), b = x.slice(0, 1, 2), c = x.slice(0, 2, 3);
  for (int i = 0; i < tasks; ++i) node.submit(empty, in(a), in(b), in(c));
}

void independent(Orchestrator& node, Tensor, int tasks) {
  const auto& empty = node.callable("empty");
  const auto a = node.tensor<float>({1}), b = node.tensor<float>({1}), c = node.tensor<float>({1});
  for (int i = 0; i < tasks; ++i) node.submit(empty, in(a), in(b), in(c));
}

void chain(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  for (int i = 0; i < tasks; ++i) node.submit(empty, inout(x));
}

Program awaited(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  for (int i = 0; i < tasks; ++i) co_await node.submit(empty, inout(x));
}

void groups(Orchestrator& node, Tensor x, int tasks) {
  for (int i = 0; i < tasks; ++i) {
    std::vector<Args> members;
    for (int chip = 0; chip < node.chips(); ++chip) members.push_back(args(in(x)));
    node.submit_group("empty", std::move(members));
  }
}

using Work = std::function<void(const Node&, const Tensor&, int)>;

const std::map<std::string, std::pair<int, Work>>& works() {
  const auto run = [](auto program) -> Work {
    return [program](const Node& node, const Tensor& x, int count) { node.run(program, x, count); };
  };
  const Work runs = [](const Node& node, const Tensor& x, int count) {
    for (int i = 0; i < count; ++i) node.run(views, x, 1);
  };
  static const std::map<std::string, std::pair<int, Work>> all{
      {"views", {1, run(views)}},
      {"independent", {1, run(independent)}},
      {"chain", {1, run(chain)}},
      {"awaited", {1, run(awaited)}},
      {"run", {1, runs}},
      {"independent-64", {64, run(independent)}},
      {"views-64", {64, run(views)}},
      {"group-64", {64, run(groups)}},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const auto what = argc == 3 ? works().find(argv[1]) : works().end();
  if (what == works().end()) {
    std::fprintf(stderr, "usage: troupe_cost_program WHAT COUNT; what there is:\n");
    for (const auto& [name, work] : works()) std::fprintf(stderr, "  %s\n", name.c_str());
    return 2;
  }
  testing::Simulation sim;
  NodeConfig config;
  config.chips = what->second.first;
  config.device = [](int, std::uint32_t) { return Result<platform::DeviceApi>(null_api(0)); };
  auto node = sim.system().node(config);
  node.load(this_module());
  auto x = node.tensor<float>({3});
  what->second.second(node, x, std::atoi(argv[2]));
  return 0;
}
