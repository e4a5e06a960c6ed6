// Bring-up of ranks with real windows, as threads: together, alone, and when one of them fails.

#include <doctest/doctest.h>

#include <barrier>
#include <cstring>
#include <string>
#include <vector>

#include "comm/host_chip.hpp"
#include "comm/leaks.hpp"
#include "comm/windows/ranks.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/runtime/comm_context.hpp"

namespace troupe::comm::test {
namespace {

TEST_CASE("large buffers are staged piece by piece, every byte of them") {
  constexpr std::uint64_t size = (std::uint64_t{5} << 19) + 12;
  auto input = HostSegment::create(unique_name("large-in"), size).value();
  auto output = HostSegment::create(unique_name("large-out"), size).value();
  for (std::size_t i = 0; i < size; ++i) input.bytes()[i] = static_cast<std::byte>(i * 31 + i / 4096);
  ChipBootstrapConfig config = rank_config(0, 1, meeting("large"));
  config.comm->window_size = size;
  config.buffers[0].nbytes = size;
  config.buffers[0].count = size / 4;
  config.buffers[0].load_from_host = config.buffers[0].store_to_host = true;
  config.host_inputs = {{"x", input.name(), size}};
  config.host_outputs = {{"x", output.name(), size}};
  HostChip chip;
  auto up = ChipBootstrap::run(chip, 0, config).value();
  CHECK(up.shutdown());
  CHECK(std::memcmp(input.bytes().data(), output.bytes().data(), size) == 0);
}

TEST_CASE("two ranks come up together, see each other's loaded buffers, and go together") {
  const auto before = held_descriptors();
  {
    std::vector<HostSegment> segments;
    for (int rank = 0; rank < 2; ++rank) {
      segments.push_back(HostSegment::create(unique_name("in" + std::to_string(rank)), 256).value());
      std::memset(segments.back().bytes().data(), 10 + rank, 256);
    }
    const std::string job = meeting("bootstrap");
    std::barrier both_are_up(2);
    run_ranks(2, [&](std::uint32_t rank) {
      ChipBootstrapConfig config = rank_config(static_cast<int>(rank), 2, job);
      config.buffers[0].load_from_host = true;
      config.host_inputs = {{"x", segments[rank].name(), 256}};
      HostChip chip;
      auto up = ChipBootstrap::run(chip, static_cast<int>(rank), config).value();
      const auto& context = *reinterpret_cast<const runtime::CommContext*>(up.result().device_ctx);
      CHECK(context.rank == rank);
      const auto* mine = reinterpret_cast<const unsigned char*>(up.result().buffer_ptrs[0]);
      CHECK(mine[255] == 10 + rank);
      both_are_up.arrive_and_wait();
      const unsigned char* theirs = context.on_peer(mine, 1 - rank);
      REQUIRE(theirs != nullptr);
      CHECK(theirs[255] == 11 - rank);
      CHECK(up.shutdown());
      CHECK(up.shutdown());
    });
  }
  CHECK(held_descriptors() == before);
  CHECK(own_shared_memory_names().empty());
}

TEST_CASE("a rank whose config is wrong fails alone and meets nobody") {
  // The bad rank never reaches the meeting, so nobody is left half-joined: the good one can come up later.
  const std::string job = meeting("bad-config");
  HostChip chip;
  ChipBootstrapConfig bad = rank_config(1, 2, job);
  bad.buffers[0].placement = "bogus";
  CHECK(ChipBootstrap::run(chip, 1, bad).error().message().find("ValueError: ") == 0);
  run_ranks(2, [&](std::uint32_t rank) {
    HostChip own;
    auto up = ChipBootstrap::run(own, 0, rank_config(static_cast<int>(rank), 2, job));
    REQUIRE(up);
    CHECK(up->shutdown());
  });
}

TEST_CASE("a rank that fails after the collective step does not strand its peer") {
  // Rank 1's input shrinks after it was checked: loading fails when both ranks are connected already.
  const std::string job = meeting("late-failure");
  class Shrinking final : public BootstrapDevice {
   public:
    HostChip chip;
    Result<void> set_device(int) override { return {}; }
    Result<void> copy_to(std::uint64_t, const void*, std::size_t) override {
      return Error(Errc::system, "the chip said no");
    }
    Result<void> copy_from(void*, std::uint64_t, std::size_t) override { return {}; }
    Result<std::unique_ptr<BootstrapCommunicator>> communicator(
        const ChipCommBootstrapConfig& config) override {
      return chip.communicator(config);
    }
  };
  auto input = HostSegment::create(unique_name("late"), 256).value();
  run_ranks(2, [&](std::uint32_t rank) {
    ChipBootstrapConfig config = rank_config(static_cast<int>(rank), 2, job);
    if (rank == 1) {
      config.buffers[0].load_from_host = true;
      config.host_inputs = {{"x", input.name(), 256}};
      Shrinking chip;
      CHECK(ChipBootstrap::run(chip, 1, config).error().message() ==
            "RuntimeError: loading 'x': the chip said no");
    } else {
      HostChip chip;
      auto up = ChipBootstrap::run(chip, 0, config);
      // It came up, or saw its peer leave while coming up; either way it ends at once and not after a
      // timeout.
      if (up) {
        CHECK(up->shutdown().error() == Errc::peer_lost);
        CHECK(up->shutdown());
      } else {
        CHECK(up.error() == Errc::peer_lost);
      }
    }
  });
}

/// A machine on which there is room for `left` bytes of windows.
class PoorMachine final : public Environment {
 public:
  explicit PoorMachine(std::uint64_t left) : left_(left) {}
  Result<FileDescriptor> create_memory(std::string_view name, std::uint64_t bytes) const override {
    if (bytes > left_) return Error(Errc::no_memory, "no room for " + std::to_string(bytes) + " bytes");
    return machine().create_memory(name, bytes);
  }

 private:
  std::uint64_t left_;
};

TEST_CASE("a rank without memory for its window fails bring-up for all, who hear which it was") {
  const auto before = held_descriptors();
  constexpr std::uint32_t ranks = 3;
  for (std::uint32_t poor = 0; poor < ranks; ++poor) {
    const std::string job = meeting("poor");
    run_ranks(ranks, [&](std::uint32_t rank) {
      const PoorMachine machine(rank == poor ? 65536 : 1 << 20);  // the header page has no room
      HostChip chip(machine);
      auto mailbox = BootstrapMailbox::create("chip " + std::to_string(rank)).value();
      auto writer = mailbox.writer().value();
      const auto up = ChipBootstrap::run(chip, 0, rank_config(static_cast<int>(rank), ranks, job), writer);
      REQUIRE_FALSE(up);
      CHECK(up.error() == Errc::no_memory);
      const std::string text = up.error().message();
      CHECK(text.find("RuntimeError: comm_alloc_windows: ") == 0);
      CHECK_MESSAGE(text.find(rank == poor ? "no room" : "rank " + std::to_string(poor)) != std::string::npos,
                    text);
      const auto reported = mailbox.wait();
      CHECK(reported.error().message() == "chip " + std::to_string(rank) + " bootstrap failed: " + text);
    });
    // The same ranks under the same name, with memory.
    run_ranks(ranks, [&](std::uint32_t rank) {
      HostChip chip;
      auto up = ChipBootstrap::run(chip, 0, rank_config(static_cast<int>(rank), ranks, job));
      REQUIRE(up);
      CHECK(up->shutdown());
    });
  }
  CHECK(held_descriptors() == before);
}

}  // namespace
}  // namespace troupe::comm::test
