// A plan from any bytes: what is decoded is encoded to the same bytes, and a node loads it or says why not;
// what is loaded can be saved and loaded again.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "program/program.hpp"
#include "troupe/actors/errc.hpp"

namespace {

using namespace troupe;
using namespace troupe::actors;

void require(bool holds) {
  if (!holds) std::abort();
}

/// A node with two chips that knows three kernels; nothing runs on it.
std::shared_ptr<NodeShared> make_node() {
  auto node = std::make_shared<NodeShared>();
  node->name = node->path = "node0";
  for (int i = 0; i < 2; ++i) node->executors.show(ExecutorKind::chip, "chip" + std::to_string(i));
  node->executors.show(ExecutorKind::sub_worker, "sub0");
  node->arena_bytes = 1U << 20U;
  node->memory = std::make_shared<HostMemory>();
  node->callables = std::make_shared<CallableRegistry>();
  for (const char* name : {"add", "scale", "set"}) {
    auto callable = std::make_shared<Callable>();
    callable->name = name;
    (void)node->callables->add(std::move(callable)).value();
  }
  return node;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto node = make_node();
  const auto bytes = std::as_bytes(std::span(data, size));
  (void)decode_plan(bytes);
  const auto plan = decode_plan_body(bytes);
  if (!plan) return 0;
  const auto again = encode(*plan);
  require(again.size() == plan_head_bytes + size &&
          std::equal(bytes.begin(), bytes.end(), again.begin() + std::ptrdiff_t{plan_head_bytes}));
  require(decode_plan(again).has_value());
  Plan loaded;
  try {
    loaded = load_plan(node, *plan);
  } catch (const Error&) {
    return 0;
  }
  (void)loaded.describe();
  require(loaded.tasks() == plan->tasks.size());
  const auto second = load_plan(node, saved(*loaded.image()));
  require(second.tasks() == loaded.tasks());
  return 0;
}
