// Chips of a node elsewhere, through the device ABI: what is computed, copied, refused.
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <thread>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

runtime::Tensor view(float* data, std::size_t size) {
  return runtime::Tensor::host(data, {static_cast<std::uint32_t>(size)});
}

/// Descriptors of this process, which holds the node, that are memory of windows.
std::size_t count_window_memory() {
  std::size_t count = 0;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (contains(std::filesystem::read_symlink(one, gone).string(), "troupe-window")) ++count;
  }
  return count;
}

troupe_window_spec spec_of(std::uint32_t ranks, std::uint32_t rank = 0) {
  troupe_window_spec spec{};
  spec.domain[0] = 7;
  spec.epoch = 1;
  spec.bytes = 65536;
  spec.rank_count = ranks;
  spec.rank = rank;
  return spec;
}

}  // namespace

TEST_CASE("a chip of a node runs kernels on the host's tensors, each run sees what the one before it wrote") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  std::vector<float> x(1000, 1.0F);
  const auto add = chip.kernel("isolated_add");
  std::uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    auto args = RunArgs::of(runtime::inout(view(x.data(), x.size())), runtime::scalar(2.0F));
    if (last != 0) args.after(last);
    last = chip.launch(add, args);
  }
  CHECK(chip.end_of(last).code == 0);
  CHECK(x.front() == 41.0F);
  CHECK(x.back() == 41.0F);
}

TEST_CASE("views come back element by element from a node, and what failed does not") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  std::vector<float> own(8 * 8, 1.0F);
  const auto whole = runtime::Tensor::host(own.data(), {8, 8});
  const auto column = whole.slice(1, 2, 3);
  const auto run =
      chip.launch(chip.kernel("isolated_add_2d"), RunArgs::of(runtime::inout(column), runtime::scalar(1.0F)));
  CHECK(chip.end_of(run).code == 0);
  for (std::size_t i = 0; i < own.size(); ++i) CHECK(own[i] == (i % 8 == 2 ? 2.0F : 1.0F));
  const auto failed =
      chip.launch(chip.kernel("isolated_writes_and_fails"), RunArgs::of(runtime::inout(whole)));
  CHECK(chip.end_of(failed).code == TROUPE_DEVICE_KERNEL_FAILED);
  CHECK(own[0] == 1.0F);
}

TEST_CASE("runs with much host memory go to a node, one with more than there is room for gets its own") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto copy = chip.kernel("isolated_copy");
  std::vector<std::vector<float>> from, to;
  std::vector<std::uint64_t> runs;
  for (int i = 0; i < 8; ++i) {
    from.emplace_back(1'000'000, static_cast<float>(i));
    to.emplace_back(1'000'000, -1.0F);
  }
  from.emplace_back(10'000'000, 77.0F);
  to.emplace_back(10'000'000, -1.0F);
  for (std::size_t i = 0; i < from.size(); ++i) {
    runs.push_back(chip.launch(copy, RunArgs::of(runtime::in(view(from[i].data(), from[i].size())),
                                                 runtime::out(view(to[i].data(), to[i].size())))));
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    CHECK(chip.end_of(runs[i]).code == 0);
    CHECK(to[i] == from[i]);
  }
}

TEST_CASE("a run with more host memory than is kept for a node at once goes there in parts, and comes back") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto copy = chip.kernel("isolated_copy"), add = chip.kernel("isolated_add");
  constexpr std::size_t size = 30'000'000;
  std::vector<float> from(size, 3.0F), to(size, -1.0F);
  float small = 1.0F;
  const auto large = chip.launch(
      copy, RunArgs::of(runtime::in(view(from.data(), size)), runtime::out(view(to.data(), size))));
  const auto behind = chip.launch(add, RunArgs::of(runtime::inout(view(&small, 1)), runtime::scalar(1.0F)));
  const auto reads = chip.launch(
      add, RunArgs::of(runtime::inout(view(to.data(), size)), runtime::scalar(1.0F)).after(large));
  for (const auto run : {large, behind, reads}) {
    const auto end = chip.end_of(run);
    CHECK_MESSAGE(end.code == 0, end.message);
  }
  CHECK(small == 2.0F);
  CHECK(to.front() == 4.0F);
  CHECK(to.back() == 4.0F);
}

TEST_CASE("a run that is aborted while its host memory leaves ends, and the next ones are right") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto add = chip.kernel("isolated_add");
  std::vector<float> x(10'000'000, 1.0F);
  for (int round = 0; round < 5; ++round) {
    const auto before = x.back();
    const auto run =
        chip.launch(add, RunArgs::of(runtime::inout(view(x.data(), x.size())), runtime::scalar(1.0F)));
    chip.context->abort(run).value();
    const auto end = chip.end_of(run);
    CHECK((end.code == 0 || end.code == TROUPE_DEVICE_ABORTED));
    const auto next =
        chip.launch(add, RunArgs::of(runtime::inout(view(x.data(), x.size())), runtime::scalar(1.0F)));
    CHECK(chip.end_of(next).code == 0);
    CHECK(x.back() == before + (end.code == 0 ? 2.0F : 1.0F));
  }
}

TEST_CASE("bytes of all sizes go to a chip of a node and come back, from several threads at once") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&chip, seed] {
      std::mt19937 random(seed);
      for (const std::size_t bytes : {1U, 63U, 4096U, 262144U, 262145U, 1048576U, 5000001U}) {
        std::vector<std::byte> sent(bytes), back(bytes);
        for (auto& byte : sent) byte = static_cast<std::byte>(random());
        const auto there = chip.context->malloc(bytes).value();
        chip.context->copy_to(there, sent.data(), bytes).value();
        chip.context->copy_from(back.data(), there, bytes).value();
        const bool same = sent == back;
        CHECK(same);
        chip.context->free(there).value();
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_CASE("a copy to a node that leaves its allocation is refused as a whole") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  std::vector<float> own(2'000'000, 1.0F), back(1'000'000, 0.0F);
  const auto bytes = back.size() * sizeof(float);
  const auto there = chip.context->malloc(bytes).value();
  chip.context->copy_to(there, back.data(), bytes).value();
  const auto refused = chip.context->copy_to(there, own.data(), own.size() * sizeof(float));
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == platform::Errc::out_of_range);
  // The same with few bytes, which nobody waits for when they are right.
  const auto end = chip.context->copy_to(there + bytes - 4, own.data(), 8);
  REQUIRE_FALSE(end);
  CHECK(end.error() == platform::Errc::out_of_range);
  chip.context->free(there).value();
  CHECK_FALSE(chip.context->copy_to(there, own.data(), 8).has_value());
  const auto again = chip.context->malloc(bytes).value();
  chip.context->copy_to(again, back.data(), bytes).value();
  chip.context->copy_from(own.data(), again, bytes).value();
  CHECK(own.front() == 0.0F);
}

TEST_CASE("chips of one node join windows, windows of two nodes are not joined") {
  const TestNode node(2), other(1);
  IsolatedChip first(node.chip(0)), second(node.chip(1)), elsewhere(other.chip());
  auto spec = spec_of(2);
  troupe_window_blob blobs[3] = {};
  const auto made = first.context->window_create(spec, blobs[0]).value();
  spec.rank = 1;
  const auto mine = second.context->window_create(spec, blobs[1]).value();
  const auto far = elsewhere.context->window_create(spec, blobs[2]).value();
  first.context->window_import(made, 1, blobs[1]).value();
  second.context->window_import(mine, 0, blobs[0]).value();
  const auto refused = elsewhere.context->window_import(far, 0, blobs[0]);
  REQUIRE_FALSE(refused);
  CHECK_MESSAGE(contains(refused.error().message(), "on another machine"), refused.error().message());
  CHECK_MESSAGE(contains(refused.error().message(), other.address()), refused.error().message());
  CHECK(first.context->window_commit(made).value().bytes == 65536);
  CHECK(second.context->window_commit(mine).value().bytes == 65536);
}

TEST_CASE("a reset lets go of the windows of a node's chip that were not joined") {
  const TestNode node(2);
  IsolatedChip chip(node.chip(0)), peer(node.chip(1));
  troupe_window_blob blob{}, own{};
  const auto joins = peer.context->window_create(spec_of(2, 1), own).value();
  const auto before = count_window_memory();
  for (int i = 0; i < 10; ++i) {
    // Each life counts its windows from the beginning: of some there are fewer, of some there are more.
    for (int windows = 0; windows <= i % 3; ++windows)
      (void)chip.context->window_create(spec_of(2), blob).value();
    CHECK(count_window_memory() > before);
    chip.context->reset_device().value();
    CHECK(count_window_memory() == before);
    chip.context->set_device(0).value();
  }
  const auto refused = peer.context->window_import(joins, 0, blob);
  REQUIRE_FALSE(refused);
  CHECK_MESSAGE(contains(refused.error().message(), "is gone"), refused.error().message());
}
