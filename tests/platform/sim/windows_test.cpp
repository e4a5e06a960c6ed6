#include <doctest/doctest.h>

#include "comm/windows/ranks.hpp"
#include "domain.hpp"
#include "latches.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::test;

TEST_CASE("kernels of several chips pass a token through their windows") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    for (const std::uint32_t ranks : {2u, 5u}) {
      Domain domain(platform, ranks, 77 + ranks);
      for (std::uint32_t rank = 0; rank < ranks; ++rank) domain.launch(rank, "pass_token", 100);
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        const auto done = domain.chips[rank]->completions.wait_for(rank + 1);
        CHECK(done.message == "");
        CHECK(done.completion.code == 0);
        std::int32_t token = 0;
        REQUIRE(domain.chips[rank]->context.copy_from(&token, domain.views[rank].local_base, sizeof token));
        CHECK(token == 100);
      }
    }
  }
}

TEST_CASE("a kernel that waits for a peer ends when the peer is lost, or when its run is aborted") {
  Domain lost("a2a3sim", 2, 91);
  lost.launch(0, "pass_token", 1);  // rank 1 never comes
  REQUIRE(lost.chips[0]->context.window_abort(lost.windows[0],
                                              static_cast<std::int32_t>(comm::Errc::peer_lost), 1));
  CHECK(lost.chips[0]->completions.wait_for(1).completion.code ==
        static_cast<std::int32_t>(comm::Errc::peer_lost));

  Domain aborted("a2a3sim", 2, 92);
  aborted.launch(0, "pass_token", 1);
  REQUIRE(aborted.chips[0]->context.abort(1));
  CHECK(aborted.chips[0]->completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
}

TEST_CASE("a window slice is memory of its chip until it is released") {
  Domain domain("a5sim", 2, 93);
  auto& context = domain.chips[0]->context;
  const auto base = domain.views[0].local_base;
  std::vector<char> bytes(4096, 3);
  REQUIRE(context.copy_to(base, bytes.data(), 4096));
  CHECK(context.copy_to(base + 1, bytes.data(), 4096).error() == Errc::out_of_range);
  CHECK(context.free(base).error() == Errc::bad_address);
  // The peer's slice belongs to the peer.
  CHECK(context.copy_to(domain.views[1].local_base, bytes.data(), 16).error() == Errc::bad_address);
  REQUIRE(context.window_release(domain.windows[0]));
  CHECK(context.copy_to(base, bytes.data(), 16).error() == Errc::bad_address);
  CHECK(context.window_release(domain.windows[0]).error() == Errc::unknown_window);
}

TEST_CASE("a second communicator on a chip is refused, unless several were asked for") {
  const auto meeting = [](const char* tag) { return comm::test::meeting(tag); };
  for (const bool several : {false, true}) {
    CAPTURE(several);
    const DeviceApi api = Chip::api("a2a3sim");
    troupe_device_context* const chip = api.create_device_context(nullptr);
    REQUIRE(chip != nullptr);
    if (several) {
      CHECK(api.set_device_option(chip, "several_communicators", "2") == TROUPE_DEVICE_UNKNOWN_OPTION);
      CHECK(api.set_device_option(chip, "several_communicators", "1") == 0);
    }
    REQUIRE(api.set_device(chip, 0) == 0);
    void* const first = api.comm_init(chip, 0, 1, nullptr, meeting("first").c_str());
    REQUIRE(first != nullptr);
    void* const second = api.comm_init(chip, 0, 1, nullptr, meeting("second").c_str());
    if (!several) {
      CHECK(second == nullptr);
      std::array<char, 200> text{};
      std::int32_t code = 0;
      CHECK(api.device_last_error(chip, &code, text.data(), text.size()) == 0);
      CHECK(code == TROUPE_DEVICE_INVALID_STATE);
      CHECK(std::string(text.data()).find("live communicator") != std::string::npos);
    } else {
      REQUIRE(second != nullptr);
      // Each has a window of its own, and the chip knows both.
      std::array<void*, 2> sessions{first, second};
      std::array<std::uint64_t, 2> contexts{}, bases{};
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(api.comm_alloc_windows(chip, sessions[i], 4096, &contexts[i]) == 0);
        CHECK(api.comm_get_local_window_base(chip, sessions[i], &bases[i]) == 0);
        CHECK(api.copy_to_device_ctx(chip, bases[i], &i, sizeof i) == 0);
      }
      for (std::size_t i = 0; i < 2; ++i) {
        std::size_t found = 7;
        CHECK(api.copy_from_device_ctx(chip, &found, bases[i], sizeof found) == 0);
        CHECK(found == i);
        CHECK(api.comm_barrier(chip, sessions[i]) == 0);
      }
      // The end of one leaves the other alone; an abort means both.
      CHECK(api.comm_destroy(chip, first) == 0);
      CHECK(api.comm_barrier(chip, second) == 0);
      void* const third = api.comm_init(chip, 0, 1, nullptr, meeting("third").c_str());
      REQUIRE(third != nullptr);
      CHECK(api.comm_alloc_windows(chip, third, 4096, &contexts[0]) == 0);
      CHECK(api.comm_abort(chip) == 0);
      CHECK(api.comm_barrier(chip, second) != 0);
      CHECK(api.comm_barrier(chip, third) != 0);
      api.comm_destroy(chip, second);
      api.comm_destroy(chip, third);
    }
    if (!several) CHECK(api.comm_destroy(chip, first) == 0);
    CHECK(api.destroy_device_context(chip) == 0);
  }
}
