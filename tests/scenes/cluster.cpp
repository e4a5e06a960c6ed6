// What a cluster can be used for: all shapes of mixed tasks, SPMD blocks, sets that start together.
#include <atomic>

#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

// All kernels of a mixed task get the same arguments; each writes the word of its core.
TROUPE_KERNEL(mark_aic)(KernelArgs& k) { k.tensor<std::int32_t>(0)[0] = 1; }
TROUPE_KERNEL(mark_aiv)(KernelArgs& k) {
  k.tensor<std::int32_t>(0)[static_cast<std::size_t>(1 + k.sub_block_id())] = 2 + k.sub_block_id();
}

TROUPE_CHIP_PROGRAM(mixed_shapes)(ChipOrchestrator& chip, ChipArgs args) {
  const auto marks = args.tensor(0);
  const Mixed shapes[] = {{"mark_aic", "mark_aiv", "mark_aiv"},
                          {"mark_aic", {}, {}},
                          {{}, "mark_aiv", {}},
                          {{}, "mark_aiv", "mark_aiv"},
                          {"mark_aic", "mark_aiv", {}}};
  std::uint64_t row = 0;
  for (const auto& shape : shapes) {
    chip.mixed(shape, inout(marks.rows(row, row + 1).reshape({marks.extent(1)})));
    ++row;
  }
}

// Each block writes its own number; a block that runs twice or not at all shows.
TROUPE_KERNEL(write_block)(KernelArgs& k) {
  auto cell =
      std::atomic_ref<std::int32_t>(k.tensor<std::int32_t>(0)[static_cast<std::size_t>(k.block_idx())]);
  cell.fetch_add(k.block_num() * 1000 + k.block_idx());
}
TROUPE_CHIP_PROGRAM(spmd_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto cells = args.tensor(0);
  chip.aiv("write_block", inout(cells), blocks(static_cast<std::uint32_t>(cells.extent(0))));
}

// Every block waits until all have come: possible only when they really start together.
TROUPE_KERNEL(meet_all)(KernelArgs& k) {
  auto& arrived = k.tensor<std::int32_t>(0)[0];
  k.notify_add(arrived, std::int32_t{1});
  k.wait_until(arrived, Compare::greater_equal, k.scalar<std::int32_t>(0));
}
TROUPE_CHIP_PROGRAM(sync_start_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto arrived = args.tensor(0);
  const auto count = args.scalar<std::int32_t>(0);
  chip.aiv("meet_all", inout(arrived), scalar(count), blocks(static_cast<std::uint32_t>(count)), sync_start);
}

namespace troupe::scenes {

std::vector<Scene> cluster_scenes() {
  Scene mixed;
  mixed.name = mixed.callable = "mixed_shapes";
  mixed.cases = {{.name = "all"}};
  mixed.make = [](SceneArgs& args, const SceneParams&) { args.inout<std::int32_t>("marks", {5, 3}); };
  mixed.golden = [](SceneArgs& args, const SceneParams&) {
    const std::int32_t rows[5][3] = {{1, 2, 3}, {1, 0, 0}, {0, 2, 0}, {0, 2, 3}, {1, 2, 0}};
    std::memcpy(args.expected<std::int32_t>("marks").data(), rows, sizeof rows);
  };

  Scene spmd;
  spmd.name = spmd.callable = "spmd_blocks";
  for (const int count : {1, 4, 16, 24, 48, 96, 500}) {
    spmd.cases.push_back({.name = std::to_string(count), .params = {{"blocks", count}}});
  }
  spmd.make = [](SceneArgs& args, const SceneParams& params) {
    args.inout<std::int32_t>("cells", {static_cast<std::uint64_t>(params["blocks"])});
  };
  spmd.golden = [](SceneArgs& args, const SceneParams& params) {
    std::int32_t block = 0;
    for (auto& cell : args.expected<std::int32_t>("cells")) {
      cell = static_cast<std::int32_t>(params["blocks"]) * 1000 + block++;
    }
  };

  Scene together;
  together.name = together.callable = "sync_start_blocks";
  // 24 clusters have 48 vector cores, 36 have 72: exactly all of them, and one more than there are.
  together.cases = {
      {.name = "one", .params = {{"blocks", 1}}},
      {.name = "some", .params = {{"blocks", 9}}},
      {.name = "all_of_a2a3", .params = {{"blocks", 48}}, .platforms = {"a2a3sim"}},
      {.name = "all_of_a5", .params = {{"blocks", 72}}, .platforms = {"a5sim"}},
      {.name = "too_many_for_a2a3", .params = {{"blocks", 49}}, .platforms = {"a2a3sim"}, .fails_with = 7},
      {.name = "too_many_for_a5", .params = {{"blocks", 73}}, .platforms = {"a5sim"}, .fails_with = 7}};
  together.make = [](SceneArgs& args, const SceneParams& params) {
    args.inout<std::int32_t>("arrived", {1});
    args.scalar("count", static_cast<std::int32_t>(params["blocks"]));
  };
  together.golden = [](SceneArgs& args, const SceneParams& params) {
    args.expected<std::int32_t>("arrived")[0] = static_cast<std::int32_t>(params["blocks"]);
  };
  return {mixed, spmd, together};
}

}  // namespace troupe::scenes
