// Runs and waits that end when a stop is asked for; tasks of troupe's own and groups that are gathered piece
// by piece.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;

namespace {

TEST_CASE("a stop that is asked for ends a run, as cancel does") {
  testing::Simulation sim({.chips = 1});
  sim.kernel("forever", [](auto& call) { call.waits(); });
  std::stop_source stop;
  RunOptions options;
  options.stop = stop.get_token();
  const auto handle = sim.node().submit(options, [](Orchestrator& node) { node.submit("forever"); });
  sim.steps(1000);
  CHECK_FALSE(handle.done());
  stop.request_stop();
  const auto how = handle.result();
  REQUIRE_FALSE(how.has_value());
  CHECK(how.error() == actors::Errc::cancelled);
}

TEST_CASE("a stop that was asked for before ends the run at once, and the next run works") {
  System system;
  const auto node = system.node({.chips = 0, .sub_workers = 1});
  std::stop_source stop;
  stop.request_stop();
  RunOptions options;
  options.stop = stop.get_token();
  std::atomic<int> ran{0};
  const auto count = [&ran](HostArgs&) { ++ran; };
  const auto error = test::error_of([&] {
    node.run(options, [&](Orchestrator& program) {
      for (;;) program.submit_sub(count).wait();
    });
  });
  REQUIRE(error);
  CHECK(*error == actors::Errc::cancelled);
  const int before = ran;
  node.run([&](Orchestrator& program) { program.submit_sub(count).wait(); });
  CHECK(ran == before + 1);
}

TEST_CASE("who waits for a run is told before its thread sleeps, and not of a run that is over at once") {
  System system;
  const auto node = system.node({.chips = 0, .sub_workers = 1});
  std::atomic<bool> go{false};
  const auto sleeps = [&go](Orchestrator& program) {
    program.submit_sub([&go](HostArgs&) {
      while (!go) std::this_thread::yield();
    });
  };
  for (int round = 0; round < 3; ++round) {
    go = false;
    int told = 0;
    RunOptions options;
    const auto here = std::this_thread::get_id();
    options.before_waiting = [&] {
      CHECK(std::this_thread::get_id() == here);
      ++told;
      go = true;
    };
    node.run(options, sleeps);
    CHECK(told >= 1);
    // And not when the next one waits.
    told = 0;
    go = true;
    node.run(sleeps);
    CHECK(told == 0);
  }
}

TEST_CASE("who waits for a run may end it before its thread sleeps") {
  System system;
  const auto node = system.node({.chips = 0, .sub_workers = 1});
  const auto waits = [](Orchestrator& program) -> Program {
    for (;;) co_await program.submit_sub([](HostArgs&) {});
  };
  std::stop_source stop;
  RunOptions options;
  options.stop = stop.get_token();
  options.before_waiting = [&] { stop.request_stop(); };
  const auto error = test::error_of([&] { node.run(options, waits); });
  REQUIRE(error);
  CHECK(*error == actors::Errc::cancelled);
}

TEST_CASE("a stop that is asked for after the end does nothing") {
  System system;
  const auto node = system.node({.chips = 0});
  std::stop_source stop;
  RunOptions options;
  options.stop = stop.get_token();
  const auto ended = node.submit(options, [](Orchestrator&) {});
  ended.get();
  stop.request_stop();
  CHECK(ended.result().has_value());
  CHECK_FALSE(test::error_of([&] { node.run([](Orchestrator&) {}); }));
}

TEST_CASE("a wait for a run ends when a stop is asked for, and the run goes on") {
  System system;
  const auto node = system.node({.chips = 0, .sub_workers = 1});
  std::atomic<bool> go{false};
  const auto handle = node.submit([&go](Orchestrator& program) {
    program.submit_sub([&go](HostArgs&) {
      while (!go) std::this_thread::yield();
    });
  });
  std::stop_source stop;
  {
    const std::jthread asks([&] { stop.request_stop(); });
    CHECK_FALSE(handle.wait(stop.get_token()));
  }
  CHECK_FALSE(handle.done());
  CHECK_FALSE(handle.wait(std::stop_token(), std::chrono::nanoseconds(1)));
  go = true;
  CHECK(handle.wait(std::stop_token()));
}

TEST_CASE("copies, fills and groups can be gathered piece by piece, and are checked as usual") {
  testing::Simulation sim({.chips = 2});
  sim.kernel("double", [](auto& call) { call.template tensor<float>(0)[0] *= 2; });
  auto x = sim.node().tensor<float>({1}), y = sim.node().tensor<float>({1});
  sim.node().run(
      [](Orchestrator& node, Tensor from, Tensor to) {
        auto fill = node.new_call(1);
        fill.take(out(from));
        fill.take(scalar(3.0f));
        node.submit_gathered(actors::DataTask::fill, std::move(fill));
        auto copy = node.new_call(2);
        copy.take(in(from));
        copy.take(out(to));
        node.submit_gathered(actors::DataTask::copy, std::move(copy));
        node.submit_gathered(node.callable("double"), {args(inout(from)), args(inout(to))}, {0, 1},
                             node.new_call(0));
        CHECK_THROWS_AS(node.submit_gathered(actors::DataTask::fill, node.new_call(0)), Error);
        auto nowhere = node.new_call(1);
        nowhere.take(in(to));
        CHECK_THROWS_AS(node.submit_gathered(actors::DataTask::prefetch, std::move(nowhere)), Error);
        auto no_value = node.new_call(1);
        no_value.take(out(to));
        CHECK_THROWS_AS(node.submit_gathered(actors::DataTask::fill, std::move(no_value)), Error);
      },
      x, y);
  CHECK(x.host<const float>()[0] == 6);
  CHECK(y.host<const float>()[0] == 6);
}

}  // namespace
