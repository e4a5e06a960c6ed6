// Tasks of many widths next to each other: SPMD blocks on vector cores and on clusters, sets that start
// together while others run, and enough of both that neither may starve. A plan is a table with a row per
// task.
#include <atomic>

#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

namespace {

// Marks its own cell; in a set that starts together, stays until every member has come.
void mark(KernelArgs& k, std::int32_t lane) {
  const auto cells = k.tensor<std::int32_t>(0);
  const auto lanes = static_cast<std::int32_t>(cells.size()) / k.block_num();
  const auto cell = static_cast<std::size_t>(k.block_idx() * lanes + lane);
  std::atomic_ref<std::int32_t>(cells[cell]).fetch_add(k.block_idx() * 10 + lane + 1);
  const auto members = k.scalar<std::int32_t>(0);
  if (members == 0) return;
  auto& arrived = k.tensor<std::int32_t>(1)[0];
  k.notify_add(arrived, std::int32_t{1});
  k.wait_until(arrived, Compare::greater_equal, members);
}

struct Task {
  bool mixed;
  std::int32_t blocks;
  bool together;
  std::int32_t cells() const { return blocks * (mixed ? 3 : 1); }
};

}  // namespace

TROUPE_KERNEL(plan_aic)(KernelArgs& k) { mark(k, 0); }
TROUPE_KERNEL(plan_aiv)(KernelArgs& k) { mark(k, 1 + k.sub_block_id()); }
TROUPE_KERNEL(plan_single)(KernelArgs& k) { mark(k, 0); }

// Rows of the plan: mixed, blocks, together. Each task has cells of its own, so no two depend on each other.
TROUPE_CHIP_PROGRAM(cluster_plan)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [plan, cells, arrived] = args.tensors<3>();
  std::uint64_t next = 0;
  for (std::uint64_t row = 0; row < plan.extent(0) && chip.fatal() == 0; ++row) {
    const Task task{chip.get<std::int32_t>(plan, row, 0) != 0, chip.get<std::int32_t>(plan, row, 1),
                    chip.get<std::int32_t>(plan, row, 2) != 0};
    const auto count = static_cast<std::uint64_t>(task.cells());
    const auto own = cells.slice(0, next, next + count), word = arrived.slice(0, row, row + 1);
    next += count;
    const auto members = scalar(task.together ? task.cells() : 0);
    const auto width = blocks(static_cast<std::uint32_t>(task.blocks));
    const Mixed cluster{"plan_aic", "plan_aiv", "plan_aiv"};
    if (task.mixed && task.together) {
      chip.mixed(cluster, inout(own), inout(word), members, width, sync_start);
    } else if (task.mixed) {
      chip.mixed(cluster, inout(own), inout(word), members, width);
    } else if (task.together) {
      chip.aiv("plan_single", inout(own), inout(word), members, width, sync_start);
    } else {
      chip.aiv("plan_single", inout(own), inout(word), members, width);
    }
  }
}

namespace troupe::scenes {

namespace {

using Plan = std::vector<Task>;

Task alone(std::int32_t blocks) { return {false, blocks, false}; }
Task alone_together(std::int32_t blocks) { return {false, blocks, true}; }
Task cluster(std::int32_t blocks) { return {true, blocks, false}; }
Task cluster_together(std::int32_t blocks) { return {true, blocks, true}; }

// The sets find cores that ordinary tasks have to leave first.
Plan drain(std::int32_t clusters) {
  Plan plan;
  for (int i = 0; i < 40; ++i) plan.push_back(i % 2 == 0 ? alone(1) : cluster(1));
  plan.push_back(cluster_together(clusters));
  for (int i = 0; i < 40; ++i) plan.push_back(alone(1));
  plan.push_back(alone_together(clusters * 2));
  return plan;
}

// Six rounds of nine tasks of every kind.
Plan stress() {
  Plan plan;
  for (int round = 0; round < 6; ++round) {
    const Plan all{cluster(4),         cluster_together(12), alone(8),
                   alone_together(16), cluster(9),           cluster_together(2),
                   alone(33),          alone_together(24),   cluster_together(23)};
    plan.insert(plan.end(), all.begin(), all.end());
  }
  return plan;
}

// Ordinary tasks that never end coming, and two sets among them.
Plan starvation() {
  Plan plan;
  for (int i = 0; i < 18; ++i) {
    plan.push_back(cluster(4));
    if (i == 4 || i == 13) plan.push_back(cluster_together(6));
  }
  for (int i = 0; i < 300; ++i) plan.push_back(i % 3 == 0 ? cluster(2) : alone(1));
  plan.push_back(cluster_together(24));
  return plan;
}

Plan plan_of(const SceneParams& params) {
  const auto width = static_cast<std::int32_t>(params.get("width", 0));
  switch (params["plan"]) {
    case 0:
      return {cluster(width)};
    case 1:
      return {cluster(width), cluster(width)};  // the first takes all clusters: the second must not be lost
    case 2:
      return {cluster_together(2), cluster_together(8), cluster(2), cluster_together(12)};
    case 3:
      return {alone(4), alone_together(16), alone(4), alone_together(24)};
    case 4:
      return drain(width);
    case 5:
      return {cluster_together(width)};
    case 6:
      return stress();
    default:
      return starvation();
  }
}

}  // namespace

std::vector<Scene> plan_scenes() {
  Scene scene;
  scene.callable = "cluster_plan";
  scene.make = [](SceneArgs& args, const SceneParams& params) {
    const Plan plan = plan_of(params);
    const auto rows = args.in<std::int32_t>("plan", {plan.size(), 3});
    std::uint64_t cells = 0, next = 0;
    for (const Task& task : plan) {
      rows[next++] = task.mixed ? 1 : 0;
      rows[next++] = task.blocks;
      rows[next++] = task.together ? 1 : 0;
      cells += static_cast<std::uint64_t>(task.cells());
    }
    args.inout<std::int32_t>("cells", {cells});
    args.inout<std::int32_t>("arrived", {plan.size()});
  };
  scene.golden = [](SceneArgs& args, const SceneParams& params) {
    auto cell = args.expected<std::int32_t>("cells").begin();
    auto arrived = args.expected<std::int32_t>("arrived").begin();
    for (const Task& task : plan_of(params)) {
      const std::int32_t lanes = task.mixed ? 3 : 1;
      for (std::int32_t block = 0; block < task.blocks; ++block) {
        for (std::int32_t lane = 0; lane < lanes; ++lane) *cell++ = block * 10 + lane + 1;
      }
      *arrived++ = task.together ? task.cells() : 0;
    }
  };

  Scene spmd = scene, fast = scene, edge = scene, contended = scene;
  spmd.name = "spmd_mixed";
  for (const int width : {1, 2, 8, 12, 24, 48, 100}) {
    spmd.cases.push_back({.name = std::to_string(width), .params = {{"plan", 0}, {"width", width}}});
  }
  spmd.cases.push_back({.name = "two_of_48", .params = {{"plan", 1}, {"width", 48}}});
  fast.name = "sync_start";
  fast.cases = {{.name = "mixed", .params = {{"plan", 2}}}, {.name = "aiv", .params = {{"plan", 3}}}};
  edge.name = "sync_start_edge";
  for (const int width : {1, 8, 9, 23, 24}) {
    edge.cases.push_back({.name = std::to_string(width), .params = {{"plan", 5}, {"width", width}}});
  }
  // All clusters of the larger chip, and one more than each chip has.
  edge.cases.push_back({.name = "36", .params = {{"plan", 5}, {"width", 36}}, .platforms = {"a5sim"}});
  edge.cases.push_back({.name = "25_is_too_many",
                        .params = {{"plan", 5}, {"width", 25}},
                        .platforms = {"a2a3sim"},
                        .fails_with = 7});
  edge.cases.push_back({.name = "37_is_too_many",
                        .params = {{"plan", 5}, {"width", 37}},
                        .platforms = {"a5sim"},
                        .fails_with = 7});
  contended.name = "sync_start_contended";
  contended.cases = {{.name = "drain_a2a3", .params = {{"plan", 4}, {"width", 24}}, .platforms = {"a2a3sim"}},
                     {.name = "drain_a5", .params = {{"plan", 4}, {"width", 36}}, .platforms = {"a5sim"}},
                     {.name = "stress", .params = {{"plan", 6}}},
                     {.name = "starvation", .params = {{"plan", 7}}}};
  return {spmd, fast, edge, contended};
}

}  // namespace troupe::scenes
