#include <doctest/doctest.h>

#include "fixture.hpp"
#include "latches.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

// Chips whose windows form one domain.
struct Domain {
  Domain(const std::string& platform, std::uint32_t ranks, std::uint64_t id) {
    std::vector<troupe_window_blob> blobs(ranks);
    windows.resize(ranks);
    views.resize(ranks);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      chips.push_back(
          std::make_unique<Chip>(platform, std::map<std::string, std::string>{}, static_cast<int>(rank)));
      troupe_window_spec spec{};
      spec.domain[0] = id;
      spec.epoch = 1;
      spec.bytes = 4096;
      spec.rank = rank;
      spec.rank_count = ranks;
      windows[rank] = chips[rank]->context.window_create(spec, blobs[rank]).value();
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      for (std::uint32_t peer = 0; peer < ranks; ++peer) {
        chips[rank]->context.window_import(windows[rank], peer, blobs[peer]).value();
      }
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      views[rank] = chips[rank]->context.window_commit(windows[rank]).value();
    }
  }

  void launch(std::uint32_t rank, const std::string& kernel, int rounds) {
    args.emplace_back(std::make_unique<RunArgs>());
    args.back()->add(scalar(views[rank].context_address)).add(scalar(rounds));
    const auto run = args.back()->run(++correlation, chips[rank]->add(kernel));
    chips[rank]->context.launch({&run, 1}).value();
  }

  std::vector<std::unique_ptr<Chip>> chips;
  std::vector<std::uint64_t> windows;
  std::vector<troupe_window_view> views;
  std::vector<std::unique_ptr<RunArgs>> args;
  std::uint64_t correlation = 0;
};

}  // namespace

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
