// Windows between chips in processes of their own.
#include <csignal>

#include "fixture.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

struct Ring {
  explicit Ring(std::uint32_t ranks) : windows(ranks), views(ranks) {
    std::vector<troupe_window_blob> blobs(ranks);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      chips.push_back(std::make_unique<IsolatedChip>(Options{{"grace_ms", "100"}}));
      troupe_window_spec spec{};
      spec.domain[0] = static_cast<std::uint64_t>(::getpid());
      spec.epoch = 1;
      spec.bytes = 4096;
      spec.rank = rank;
      spec.rank_count = ranks;
      windows[rank] = chips[rank]->context->window_create(spec, blobs[rank]).value();
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      for (std::uint32_t peer = 0; peer < ranks; ++peer)
        chips[rank]->context->window_import(windows[rank], peer, blobs[peer]).value();
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      views[rank] = chips[rank]->context->window_commit(windows[rank]).value();
  }
  std::uint64_t launch(std::uint32_t rank, const char* kernel, int rounds) {
    return chips[rank]->launch(
        chips[rank]->kernel(kernel),
        RunArgs::of(runtime::scalar(views[rank].context_address), runtime::scalar(rounds)));
  }
  std::vector<std::unique_ptr<IsolatedChip>> chips;
  std::vector<std::uint64_t> windows;
  std::vector<troupe_window_view> views;
};

}  // namespace

TEST_CASE("kernels in different processes pass a token through their windows") {
  Ring ring(3);
  std::vector<std::uint64_t> runs;
  for (std::uint32_t rank = 0; rank < 3; ++rank) runs.push_back(ring.launch(rank, "isolated_token", 50));
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    const auto end = ring.chips[rank]->end_of(runs[rank]);
    CHECK_MESSAGE(end.code == 0, end.message);
    std::int32_t token = 0;
    ring.chips[rank]->context->copy_from(&token, ring.views[rank].local_base, sizeof token).value();
    CHECK(token == 50);
  }
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    ring.chips[rank]->context->window_release(ring.windows[rank]).value();
}

TEST_CASE("who waits for a peer whose process was killed is told when the window is given up") {
  Ring ring(2);
  const auto peer = ring.chips[1]->process();
  const auto waits = ring.launch(0, "isolated_token", 1);
  ::kill(static_cast<pid_t>(peer), SIGKILL);
  (void)ring.chips[1]->lost();
  const auto peer_lost = static_cast<std::int32_t>(comm::Errc::peer_lost);
  ring.chips[0]->context->window_abort(ring.windows[0], peer_lost, 1).value();
  CHECK(ring.chips[0]->end_of(waits).code == peer_lost);
}
