// Options of a submit and numbers of a configuration used to be cut to fit: `priority(300)` was priority 44,
// `on_chip(-5)` any chip, a negative deadline none, `retry(-1)` four thousand million retries. `credit = 0`
// and `max_runs = 0` were taken, and nothing ever ran. Promised now: a number that makes no sense is refused
// where it is said, by name, and nothing of it is submitted or brought up.
#include <doctest/doctest.h>

#include <climits>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

/// The error of a submit in a plain program, which goes on afterwards.
template <class... Options>
Error refused(const Options&... options) {
  Simulation sim({.chips = 2});
  sim.kernel("step", [](auto&) {});
  std::optional<Error> error;
  sim.node().run([&](Orchestrator& node) {
    error = error_of([&] { node.submit("step", options...); });
    node.submit("step", on_chip(1), priority(-128), deadline(1s), retry(0), blocks(1));
  });
  CHECK(sim.ran("step") == 1);  // the one that makes sense
  REQUIRE(error);
  return *error;
}

void says(const Error& error, std::string_view what) {
  CAPTURE(render(error));
  CHECK(render(error).find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("an option of a submit that makes no sense is refused, and the task is not there") {
  says(refused(priority(300)), "task \"step\": priority(300)");
  says(refused(priority(-129)), "priority(-129)");
  says(refused(priority(UINT64_MAX)), "-128 to 127");
  CHECK(refused(on_chip(-5)) == Errc::no_such_chip);
  says(refused(on_chip(-1)), "number -1");
  says(refused(on_chip(std::size_t{1} << 32U)), "number 4294967296");
  says(refused(deadline(-1ns)), "deadline(-1 ns)");
  says(refused(deadline(0s)), "leave it out for none");
  says(refused(retry(-1)), "retry(-1)");
  says(refused(CallConfig{.block_dim = -1}), "block_dim");
  CHECK(error_of([] { (void)blocks(0); })->hint() == "leave it out for one");
  CHECK(error_of([] { (void)blocks(-4); }));
  CHECK(error_of([] { (void)blocks(std::uint64_t{1} << 32U); }));
}

TEST_CASE("what is for kernels only is refused for a host function") {
  Simulation sim;
  sim.node().run([](Orchestrator& node) {
    auto nothing = [](HostArgs&) {};
    says(*error_of([&] { node.submit_sub(nothing, blocks(4)); }), "blocks(…) is for kernels");
    says(*error_of([&] { node.submit_sub(nothing, CallConfig{}); }), "CallConfig");
    CHECK(error_of([&] { node.submit_sub(nothing, on_chip(-2)); }));
  });
}

TEST_CASE("a group that is sent to one chip is refused") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  sim.node().run([](Orchestrator& node) {
    says(*error_of([&] {
      node.submit_group("step", {args(), args()}, on_chip(1));
    }),
         "runs on several chips");
  });
}

TEST_CASE("options of a run that make no sense are refused") {
  Simulation sim;
  auto& node = sim.node();
  auto nothing = [](Orchestrator&) {};
  says(*error_of([&] { node.run(RunOptions{.priority = 300}, nothing); }), "priority = 300");
  says(*error_of([&] { (void)node.submit(RunOptions{.priority = -129}, nothing); }), "priority = -129");
  says(*error_of([&] { node.run(RunOptions{.name = "late", .deadline = -1s}, nothing); }), "\"late\"");
}

TEST_CASE("a configuration with which nothing could run is refused before anything is started") {
  Simulation kit;  // for a device that needs no library
  auto api = [script = kit.script()](int, std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  System system({.log_level = 0});
  auto wrong = [&](const std::function<void(NodeConfig&)>& change, std::string_view what) {
    NodeConfig config{.name = "mine", .device = api};
    change(config);
    const auto error = error_of([&] { (void)system.node(config); });
    CAPTURE(what);
    REQUIRE(error);
    CHECK(*error == Errc::bad_argument);
    says(*error, what);
    const auto in_pod = error_of([&] { (void)system.pod({.nodes = {config}}); });
    REQUIRE(in_pod);
    says(*in_pod, what);
    CHECK(system.actors() == 0);
  };
  wrong([](NodeConfig& c) { c.chips = -1; }, "mine: chips = -1");
  wrong([](NodeConfig& c) { c.chips = INT_MAX; }, "chips = 2147483647");
  wrong([](NodeConfig& c) { c.sub_workers = -1; }, "sub_workers = -1");
  wrong([](NodeConfig& c) { c.sub_workers = INT_MAX; }, "sub_workers = 2147483647");
  wrong([](NodeConfig& c) { c.first_device = -1; }, "first_device = -1");
  wrong([](NodeConfig& c) { c.first_device = INT_MAX; }, "first_device");
  // As wide as they were written: none of these is what its last 32 bits say.
  wrong([](NodeConfig& c) { c.chips = 1LL << 32; }, "chips = 4294967296");
  wrong([](NodeConfig& c) { c.sub_workers = (1LL << 32) + 1; }, "sub_workers = 4294967297");
  wrong([](NodeConfig& c) { c.first_device = 1LL << 32; }, "first_device = 4294967296");
  wrong([](NodeConfig& c) { c.credit = (1LL << 32) + 64; }, "credit = 4294967360");
  wrong([](NodeConfig& c) { c.credit = -1; }, "credit = -1");
  wrong([](NodeConfig& c) { c.max_runs = (1LL << 32) + 1; }, "max_runs");
  wrong([](NodeConfig& c) { c.soft_limit = -1; }, "soft_limit = -1");
  wrong([](NodeConfig& c) { c.hard_limit = (1LL << 33) + 1; }, "hard_limit");
  wrong([](NodeConfig& c) { c.restart.restarts = -1; }, "restarts = -1");
  wrong([](NodeConfig& c) { c.credit = 0; }, "credit = 0");
  wrong([](NodeConfig& c) { c.max_runs = 0; }, "max_runs = 0");
  wrong([](NodeConfig& c) { c.soft_limit = 0; }, "soft_limit = 0");
  wrong([](NodeConfig& c) { c.hard_limit = 0; }, "hard_limit = 0");
  wrong([](NodeConfig& c) { c.abort_grace = -1ns; }, "abort_grace");
  wrong([](NodeConfig& c) { c.restart.within = -1s; }, "restart.within");
  CHECK(error_of([&] { (void)system.pod({.sub_workers = -1}); }));
  CHECK(error_of([&] { (void)system.worker(nullptr); }));
  CHECK(error_of([] { System bad({.threads = SIZE_MAX}); }));
  CHECK(error_of([] { System bad({.log_level = 5}); }));
  CHECK(error_of([] { System bad({.log_level = -1}); }));
}

TEST_CASE("the largest values of a configuration work") {
  Simulation kit;
  System system({.log_level = 0});
  NodeConfig config{.credit = UINT32_MAX, .max_runs = UINT32_MAX, .soft_limit = UINT32_MAX};
  config.hard_limit = UINT32_MAX;
  config.restart.restarts = UINT32_MAX;
  config.restart.within = std::chrono::nanoseconds::max();
  config.device = [script = kit.script()](int, std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  kit.script().on("step", [](auto&) {});
  auto node = system.node(config);
  node.add_kernel("step");
  node.run([](Orchestrator& program) {
    for (int i = 0; i < 100; ++i) program.submit("step");
  });
  CHECK(node.status().completed == 100);
}

TEST_CASE("a chip that could never take a task is not added") {
  Simulation sim;
  const auto error = error_of([&] { (void)sim.node().add_executor(actors::ChipConfig{.credit = 0}); });
  REQUIRE(error);
  says(*error, "credit = 0");
  CHECK(error_of([&] { (void)sim.node().add_executor(actors::ChipConfig{.device_id = -1}); }));
  CHECK(error_of([&] { (void)sim.node().add_executor(actors::ChipConfig{.device_id = 1LL << 32}); }));
}

TEST_CASE("a chip's number is not cut to fit one that there is") {
  Simulation sim({.chips = 2});
  CHECK(error_of([&] { (void)sim.node().chip(1LL << 32); }).value() == Errc::no_such_chip);
  CHECK(error_of([&] { (void)sim.node().chip(-1); }).value() == Errc::no_such_chip);
  CHECK(error_of([&] { sim.node().remove_executor((1LL << 32) + 1); }).value() == Errc::no_such_chip);
  CHECK(sim.node().chip(1).index() == 1);
  CHECK(error_of([] { (void)chips(0, 1LL << 32); }).value().message() ==
        "there is no chip number 4294967296");
  CHECK(chips(0, 3U) == std::vector<int>{0, 3});
}
