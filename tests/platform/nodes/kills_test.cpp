// Processes of chips that are killed, over and over, at any time: nothing of them stays, and the next ones
// work.
#include <csignal>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "support/belongings.hpp"
#include "support/random.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

void works(IsolatedChip& chip) {
  std::vector<float> x(1000, 1.0F);
  const auto run = chip.launch(
      chip.kernel("isolated_add"),
      RunArgs::of(runtime::inout(runtime::Tensor::host(x.data(), {1000})), runtime::scalar(2.0F)));
  const auto end = chip.end_of(run);
  CHECK_MESSAGE(end.code == 0, end.message);
  CHECK(x.back() == 3.0F);
}

/// While it does nothing, runs a kernel, or is sent many bytes and asked for some.
void kill_and_bring_back(IsolatedChip& chip, std::uint64_t when) {
  const auto process = static_cast<pid_t>(chip.process());
  const auto kill = [&] { REQUIRE(::kill(process, SIGKILL) == 0); };
  if (when == 0) {
    kill();
  } else if (when == 1) {
    const auto run = chip.launch(chip.kernel("isolated_loop"));
    kill();
    CHECK(chip.end_of(run).code == TROUPE_DEVICE_LOST);
  } else {
    std::vector<std::byte> some(std::size_t{4} << 20U);
    const auto there = chip.context->malloc(some.size()).value();
    bool lost = false;
    std::thread copies([&] {
      while (!lost) {
        lost = !chip.context->copy_to(there, some.data(), some.size()) ||
               !chip.context->copy_from(some.data(), there, some.size());
      }
    });
    kill();
    copies.join();
  }
  CHECK_MESSAGE(contains(chip.lost(), "signal 9"), chip.lost());
  chip.forget_lost();
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  works(chip);
}

/// One of two whose kernels wait for each other.
void kill_a_member() {
  std::vector<std::unique_ptr<IsolatedChip>> chips;
  std::vector<std::uint64_t> windows;
  std::vector<troupe_window_blob> blobs(2);
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    chips.push_back(std::make_unique<IsolatedChip>(Options{{"grace_ms", "100"}}));
    troupe_window_spec spec{};
    spec.domain[0] = static_cast<std::uint64_t>(::getpid());
    spec.epoch = 1;
    spec.bytes = 4096;
    spec.rank = rank;
    spec.rank_count = 2;
    windows.push_back(chips[rank]->context->window_create(spec, blobs[rank]).value());
  }
  std::vector<troupe_window_view> views;
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    for (std::uint32_t peer = 0; peer < 2; ++peer)
      chips[rank]->context->window_import(windows[rank], peer, blobs[peer]).value();
  }
  for (std::uint32_t rank = 0; rank < 2; ++rank)
    views.push_back(chips[rank]->context->window_commit(windows[rank]).value());
  const std::vector<std::uint64_t> kernels{chips[0]->kernel("isolated_token"),
                                           chips[1]->kernel("isolated_token")};
  const auto token = [&](std::uint32_t rank, int rounds) {
    return chips[rank]->launch(
        kernels[rank], RunArgs::of(runtime::scalar(views[rank].context_address), runtime::scalar(rounds)));
  };
  // As a domain they work.
  const auto first = token(0, 3), second = token(1, 3);
  CHECK(chips[0]->end_of(first).code == 0);
  CHECK(chips[1]->end_of(second).code == 0);
  const auto waits = token(0, 1000);
  REQUIRE(::kill(static_cast<pid_t>(chips[1]->process()), SIGKILL) == 0);
  (void)chips[1]->lost();
  const auto peer_lost = static_cast<std::int32_t>(comm::Errc::peer_lost);
  chips[0]->context->window_abort(windows[0], peer_lost, 1).value();
  CHECK(chips[0]->end_of(waits).code == peer_lost);
  works(*chips[0]);
}

}  // namespace

TEST_CASE(
    "processes of chips, of chips of a node, and of members of a domain are killed, and nothing stays") {
  IsolatedChip alone;
  const TestNode node;
  IsolatedChip of_node(node.chip());
  const auto round = [&](std::uint64_t when) {
    kill_and_bring_back(alone, when);
    kill_and_bring_back(of_node, when);
    kill_a_member();
  };
  // What is there once, from then on.
  for (std::uint64_t when = 0; when < 3; ++when) round(when);
  const auto before = Belongings::now();
  ThreadCounts threads;
  std::uint64_t kills = 0;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(4); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    round(random() % 3);
    kills += 3;
    const auto after = before.wait();
    REQUIRE_MESSAGE(after.is_as(before), "had " << before.text() << "; has " << after.text());
    threads.add(after);
  }
  CHECK_MESSAGE(!threads.have_risen(), threads.text());
  MESSAGE(kills << " processes were killed");
}
