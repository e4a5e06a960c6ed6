// Bring-up of simulated chips: contexts, windows, named buffers, and host staging in and out.

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "comm/leaks.hpp"
#include "comm/windows/ranks.hpp"
#include "fixture.hpp"
#include "troupe/comm/bootstrap.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/platform/chip_bootstrap.hpp"

using namespace troupe;
using namespace troupe::test;
using comm::test::meeting;
using comm::test::run_ranks;
using comm::test::unique_name;

namespace {

constexpr std::uint64_t words = 1000;
constexpr std::uint64_t nbytes = words * 4;

/// Two ranks with a buffer that is loaded, one that is stored, and one between them that is empty.
comm::ChipBootstrapConfig pair_config(int rank, const std::string& job) {
  comm::ChipBootstrapConfig config;
  config.comm =
      comm::ChipCommBootstrapConfig{.rank = rank, .nranks = 2, .rootinfo_path = job, .window_size = 65536};
  config.buffers = {{.name = "x", .dtype = "int32", .count = words, .nbytes = nbytes},
                    {.name = "nothing", .nbytes = 0},
                    {.name = "y", .dtype = "int32", .count = words, .nbytes = nbytes}};
  return config;
}

/// Staging of one rank; the names end with it.
struct Staging {
  explicit Staging(int rank)
      : in(comm::HostSegment::create(unique_name("in" + std::to_string(rank)), nbytes).value()),
        out(comm::HostSegment::create(unique_name("out" + std::to_string(rank)), nbytes).value()) {
    std::iota(ints(in), ints(in) + words, 1000 * rank);
  }
  static std::int32_t* ints(const comm::HostSegment& segment) {
    return reinterpret_cast<std::int32_t*>(segment.bytes().data());
  }
  void add_to(comm::ChipBootstrapConfig& config) const {
    config.buffers[0].load_from_host = config.buffers[2].store_to_host = true;
    config.host_inputs = {{"x", in.name(), nbytes}};
    config.host_outputs = {{"y", out.name(), nbytes}};
  }
  comm::HostSegment in, out;
};

}  // namespace

TEST_CASE(
    "two chips come up with windows, compute on each other's buffers, and store the result to the host") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    const auto before = comm::test::held_descriptors();
    {
      const std::string job = meeting("chips") + platform;
      const std::array staging{Staging(0), Staging(1)};
      run_ranks(2, [&](std::uint32_t rank) {
        Chip chip(platform, {}, static_cast<int>(rank));
        comm::ChipBootstrapConfig config = pair_config(static_cast<int>(rank), job);
        staging[rank].add_to(config);
        ContextBootstrapDevice device(chip.context);
        auto mailbox = comm::BootstrapMailbox::create("chip").value();
        auto writer = mailbox.writer().value();
        auto up = comm::ChipBootstrap::run(device, static_cast<int>(rank), config, writer);
        REQUIRE_MESSAGE(up, (up ? "" : up.error().message()));
        CHECK(mailbox.wait().value() == up->result());
        const comm::ChipContext context = up->context();
        CHECK(context.device_id == static_cast<int>(rank));
        CHECK(context.actual_window_size >= 65536);
        CHECK(context.buffer_ptrs.at("y") == context.local_window_base + 4032);

        // Between two barriers every peer's input is complete and nobody has gone.
        REQUIRE(chip.context.comm_barrier());
        const auto args = RunArgs::of(scalar(context.device_ctx), scalar(context.buffer_ptrs.at("x")),
                                      scalar(context.buffer_ptrs.at("y")), scalar(words));
        const auto done = chip.run(chip.add("add_peer"), args);
        CHECK_MESSAGE(done, (done ? "" : done.error().message()));
        REQUIRE(chip.context.comm_barrier());
        CHECK(up->store_to_host("y"));
        CHECK(Staging::ints(staging[rank].out)[7] == 1000 + 14);
        // What is there at the end is stored again.
        const std::int32_t last = -5;
        REQUIRE(chip.context.copy_to(context.buffer_ptrs.at("y"), &last, sizeof last));
        CHECK(up->shutdown());
        CHECK(Staging::ints(staging[rank].out)[0] == -5);
        for (std::size_t i = 1; i < words; ++i) {
          CHECK(Staging::ints(staging[rank].out)[i] == 1000 + 2 * static_cast<std::int32_t>(i));
        }
        CHECK(up->shutdown());
        CHECK(chip.context.copy_to(context.buffer_ptrs.at("x"), &last, 4).error() == Errc::bad_address);
        CHECK(chip.context.comm_init(0, 1, job));  // the session is gone
      });
    }
    CHECK(comm::test::held_descriptors() == before);
    CHECK(comm::test::own_shared_memory_names().empty());
  }
}

TEST_CASE("a chip that fails after it met its peer leaves at once, and the peer hears of it") {
  const std::string job = meeting("late");
  run_ranks(2, [&](std::uint32_t rank) {
    Chip chip("a2a3sim", {}, static_cast<int>(rank));
    ContextBootstrapDevice device(chip.context);
    auto up =
        comm::ChipBootstrap::run(device, static_cast<int>(rank), pair_config(static_cast<int>(rank), job));
    if (rank == 1) {
      // Dropped without a shutdown, as a failed load does; nobody is waited for.
      up = comm::ChipBootstrap::run(device, 7, {});
      CHECK(up.error().message().find("RuntimeError: set_device(7): ") == 0);
    } else {
      if (up) up = up->shutdown() ? Error(Errc::internal, "parted in peace") : Error(comm::Errc::aborted, "");
      const bool heard = up.error() == comm::Errc::aborted || up.error() == comm::Errc::peer_lost;
      CHECK_MESSAGE(heard, up.error().message());
    }
  });
}

TEST_CASE("bring-up that waits for a chip which will not come is given up from another thread") {
  const std::string job = meeting("given-up");
  Chip chip("a5sim");
  ContextBootstrapDevice device(chip.context);
  bool bad_failed = false;
  std::thread others([&] {
    // Rank 1 is refused before it meets anybody.
    Chip bad("a5sim", {}, 1);
    comm::ChipBootstrapConfig config = pair_config(1, job);
    config.buffers[0].placement = "bogus";
    ContextBootstrapDevice bad_device(bad.context);
    bad_failed = !comm::ChipBootstrap::run(bad_device, 1, config);
    device.abort();
  });
  const auto up = comm::ChipBootstrap::run(device, 0, pair_config(0, job));
  others.join();
  CHECK(bad_failed);
  REQUIRE_FALSE(up);
  CHECK(up.error() == comm::Errc::aborted);
  CHECK(chip.context.comm_init(0, 1, job));  // nothing was left behind
}

TEST_CASE("closing a chip whose session is live waits for nobody") {
  const std::string job = meeting("closing");
  std::array<std::unique_ptr<Chip>, 2> chips;
  run_ranks(2, [&](std::uint32_t rank) {
    chips[rank] =
        std::make_unique<Chip>("a2a3sim", std::map<std::string, std::string>{}, static_cast<int>(rank));
    chips[rank]->context.comm_init(static_cast<int>(rank), 2, job).value();
    chips[rank]->context.comm_alloc_windows(4096).value();
  });
  CHECK(chips[0]->context.close());
  CHECK(chips[1]->context.comm_barrier().error() == comm::Errc::aborted);
  CHECK(chips[1]->context.reset_device());
}

TEST_CASE("a chip of a platform without communication comes up without a communicator only") {
  Chip chip("a2a3sim");
  DeviceApi api = chip.context.api();
  api.comm_init = nullptr;
  auto host = std::make_shared<HostThreads>();
  auto context = DeviceContext::create(api, host).value();
  ContextBootstrapDevice device(context);
  CHECK(comm::ChipBootstrap::run(device, 3, {}));
  CHECK(comm::ChipBootstrap::run(device, 3, pair_config(0, "nobody")).error() == Errc::unsupported);
}
