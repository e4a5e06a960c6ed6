#include <doctest/doctest.h>

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
