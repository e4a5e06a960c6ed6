// What belongs to a system as a whole: several of them, its log, many chips.
#include <doctest/doctest.h>

#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include "support/temporary_folder.hpp"
#include "troupe/testing.hpp"

using namespace troupe;

namespace {

/// Lines of a system's log, from any thread.
struct Log {
  actors::LogSink sink() {
    return [this](int level, std::string_view path, std::string_view text) {
      std::lock_guard guard(mutex);
      lines += std::to_string(level) + " " + std::string(path) + ": " + std::string(text) + "\n";
    };
  }
  bool has(std::string_view text) {
    std::lock_guard guard(mutex);
    return lines.find(text) != lines.npos;
  }
  /// The second line comes somewhere behind the first.
  bool has_in_order(std::string_view first, std::string_view second) {
    std::lock_guard guard(mutex);
    const auto at = lines.find(first);
    return at != lines.npos && lines.find(second, at) != lines.npos;
  }
  std::mutex mutex;
  std::string lines;
};

NodeConfig scripted(int chips, platform::ScriptedChip script) {
  NodeConfig config;
  config.chips = chips;
  config.device = [script](int, std::uint32_t) mutable { return Result<platform::DeviceApi>(script.api()); };
  return config;
}

void increments(Orchestrator& n, Tensor x, std::int32_t times) {
  for (int i = 0; i < times; ++i) n.submit("increment", inout(x));
}

/// The chip's actor dies; its worker has noticed when this returns.
void kill_and_see(const Node& node) {
  testing::kill(node, 0);
  while (node.status().children[0].restarts == 0) std::this_thread::yield();
  REQUIRE(node.status().children[0].restarts == 1);
}

platform::ScriptedChip counting() {
  platform::ScriptedChip script;
  script.on("increment", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  return script;
}

}  // namespace

TEST_CASE("two systems in one process do not notice each other: runs, deaths, logs, ends") {
  Log ours, theirs;
  SystemConfig config;
  config.log = ours.sink();
  System one(config);
  config.log = theirs.sink();
  auto two = std::make_optional<System>(config);
  auto here = one.node(scripted(2, counting()));
  auto there = two->node(scripted(2, counting()));
  here.add_kernel("increment");
  there.add_kernel("increment");
  auto x = here.tensor<float>({1}), y = there.tensor<float>({1});
  auto busy = here.submit(increments, x, 2000);
  kill_and_see(there);
  there.run(increments, y, 10);
  const auto actors = one.actors();
  CHECK(actors > 0);
  two.reset();
  busy.get();
  CHECK(x.host<float>()[0] == 2000);
  CHECK_THROWS_AS(there.run(increments, y, 1), Error);
  here.run(increments, x, 1);
  CHECK(x.host<float>()[0] == 2001);
  CHECK(theirs.has("restarted"));
  CHECK_FALSE(ours.has("restarted"));
  CHECK(here.status().children[0].restarts == 0);
}

TEST_CASE("the log keeps to its level, and goes to a file with the time when one is named") {
  const test::TemporaryFolder folder;
  const auto file = folder / "troupe.log";
  auto died = [&](int level) {
    SystemConfig config;
    config.log_level = level;
    config.log_file = file;
    System system(config);
    auto node = system.node(scripted(1, counting()));
    kill_and_see(node);
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  };
  CHECK(died(1).empty());
  const auto text = died(2);
  CHECK_MESSAGE(text.find("Z troupe warning: node0: chip0 is restarted: ") != std::string::npos, text);
}

TEST_CASE("the log says who comes and goes at info, and which runs and domains at debug") {
  for (const int level : {3, 4}) {
    CAPTURE(level);
    Log log;
    {
      SystemConfig config;
      config.log_level = level;
      config.log = log.sink();
      System system(config);
      auto node = system.node(scripted(2, counting()));
      auto x = node.tensor<float>({1});
      node.add_kernel("increment");
      node.run({.name = "three"}, increments, x, 3);
      CHECK_THROWS_AS(node.run({.name = "bad"}, [](Orchestrator& n) { n.submit("nobody"); }), Error);
      node.run([](Orchestrator& n) {
        (void)n.allocate_domain({.chips = {0, 1}, .buffers = {{"all", 64}}}).get();
      });
      node.chip(1).reset();
    }
    CAPTURE(log.lines);
    CHECK(log.has("3 node0: up with 2 chips, 1 sub-worker\n"));
    CHECK(log.has("3 node0: chip1 is up again\n"));
    CHECK(log.has("3 node0: down\n"));
    // A caller hears of the end before the node does: the next run may have begun by then.
    CHECK(log.has_in_order("4 node0: run 1 \"three\" begins\n",
                           "4 node0: run 1 \"three\" has ended, tasks: 3\n") == (level == 4));
    CHECK(log.has("4 node0: run 2 \"bad\" has failed: ") == (level == 4));
    CHECK(log.has("4 node0/domain1: formed over 2 chips\n") == (level == 4));
  }
}

TEST_CASE("a thousand chips, one task each, on the threads of a small machine: none is given up") {
  SystemConfig config;
  config.threads = 2;
  System system(config);
  auto node = system.node(scripted(1000, counting()));
  node.add_kernel("increment");
  auto x = node.tensor<float>({1000});
  node.run(
      [](Orchestrator& n, Tensor all) {
        for (std::uint32_t i = 0; i < 1000; ++i) {
          n.submit("increment", inout(all.slice(0, i, i + 1)), on_chip(static_cast<int>(i)));
        }
      },
      x);
  for (std::uint32_t i = 0; i < 1000; ++i) REQUIRE(x.host<float>()[i] == 1);
  for (const auto& chip : node.status().children) {
    REQUIRE(chip.restarts == 0);
    REQUIRE(chip.completed == (chip.name.rfind("chip", 0) == 0 ? 1 : 0));
  }
}
