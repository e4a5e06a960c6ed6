// A time that a caller gave in hours, minutes or seconds became nanoseconds on its way in, by std::chrono's
// own conversion, which wraps beyond 292 years: with `hours::max()`, the usual word for "for ever", a wait
// ended at once, a deadline had passed before the run began, a grace was refused as negative. A simulation's
// clock did likewise at its end: what was due after 292 years came now, `advance(nanoseconds::max())` went
// back in time the third time, and a kernel that takes for ever had ended. Waits for nodes elsewhere, in
// milliseconds, too.
//
// Promised now: times are taken in any unit, real numbers of seconds included; what is too long is for ever;
// a virtual clock stands still at its end.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/platform/nodes.hpp"
#include "troupe/runtime/saturated.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using runtime::Milliseconds;
using runtime::Nanoseconds;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr auto years = [](std::int64_t count) { return hours(count * 24 * 365); };
using Seconds = std::chrono::duration<double>;

void define_kernels(testing::Simulation& sim) {
  sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  sim.kernel("endless", [](auto& call) { call.takes(UINT64_MAX); });
}

}  // namespace

TEST_CASE("a time of any unit becomes nanoseconds without overflow") {
  static_assert(Nanoseconds(hours::max()) == nanoseconds::max());
  static_assert(Nanoseconds(hours::min()) == nanoseconds::min());
  static_assert(Nanoseconds(std::chrono::seconds::max()) == nanoseconds::max());
  static_assert(Nanoseconds(years(293)) == nanoseconds::max());
  static_assert(Nanoseconds(years(290)) == nanoseconds(years(290)));
  static_assert(Nanoseconds(nanoseconds::max()) == nanoseconds::max());
  static_assert(Nanoseconds(-3min) == -180s);
  static_assert(Nanoseconds(Seconds(0.5)) == 500ms);
  static_assert(Nanoseconds(Seconds(1e300)) == nanoseconds::max());
  static_assert(Nanoseconds(std::chrono::duration<int, std::pico>(2500)) == 2ns);
  static_assert(Milliseconds(hours::max()) == milliseconds::max());
  static_assert(Milliseconds(1500us) == 1ms);
  CHECK(Nanoseconds(Seconds(std::numeric_limits<double>::infinity())) == nanoseconds::max());
  CHECK(Nanoseconds(Seconds(std::numeric_limits<double>::quiet_NaN())) < 0ns);
  CHECK(deadline(hours::max()).value == nanoseconds::max());
  CHECK(deadline(Seconds(2.5)).value == 2500ms);
}

TEST_CASE("a deadline that is no number is refused as that") {
  testing::Simulation sim({.chips = 1});
  define_kernels(sim);
  const auto x = sim.node().tensor<float>({1});
  const auto none = deadline(Seconds(std::numeric_limits<double>::quiet_NaN()));
  const auto error = test::error_of(
      [&] { sim.node().run([&](Orchestrator& node) { node.submit("step", inout(x), none); }); });
  REQUIRE(error);
  CHECK(render(*error).find("a deadline that is no number (NaN)") != std::string::npos);
}

TEST_CASE("waits, deadlines and graces for ever are for ever, in whatever unit") {
  testing::Simulation sim({.chips = 1, .restart = {.restarts = 2, .within = hours::max()}});
  define_kernels(sim);
  auto& node = sim.node();
  const auto x = node.tensor<float>({1});
  const auto program = [](Orchestrator& n, Tensor y) { n.submit("step", inout(y), deadline(hours::max())); };
  node.run({.deadline = hours::max()}, program, x);
  const auto run = node.submit({.deadline = std::chrono::minutes::max()}, program, x);
  CHECK(run.wait(hours::max()));
  CHECK(run.wait(std::stop_token(), hours::max()));
  CHECK(run.result());
  CHECK(x.host<const float>()[0] == 2.0F);

  System system({.threads = 2});
  const auto other = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"),
                                  .abort_grace = hours::max(),
                                  .restart = {.within = hours::max()}});
  const auto real = other.submit({.deadline = hours::max()}, [](Orchestrator& n) { n.drain(); });
  CHECK(real.wait(hours::max()));
  CHECK(real.result());
  const auto negative = test::error_of([&] { (void)system.node({.abort_grace = hours::min()}); });
  REQUIRE(negative);
  CHECK(render(*negative).find("is negative") != std::string::npos);
}

TEST_CASE("a kernel that takes for ever is not over, however late it began and however long one waits") {
  testing::Simulation sim({.chips = 1});
  define_kernels(sim);
  auto& node = sim.node();
  const auto x = node.tensor<float>({1});
  sim.advance(1s);  // from here on, for ever is beyond the end of the clock
  const auto run = node.submit([](Orchestrator& n, Tensor y) { n.submit("endless", inout(y)); }, x);
  CHECK_FALSE(run.wait(hours::max()));
  sim.advance(years(100));
  CHECK_FALSE(run.done());
  run.cancel();
  CHECK(run.result().error() == actors::Errc::cancelled);
}

TEST_CASE("a task that is delayed by more than the clock can tell comes never, not now") {
  testing::Simulation sim({.chips = 1});
  define_kernels(sim);
  auto& node = sim.node();
  const auto x = node.tensor<float>({1});
  sim.advance(1s);
  sim.fault(testing::delay(hours::max()));
  const auto run = node.submit([](Orchestrator& n, Tensor y) { n.submit("step", inout(y)); }, x);
  sim.advance(years(50));
  CHECK_FALSE(run.done());
  CHECK(x.host<const float>()[0] == 0.0F);
  run.cancel();
  CHECK(run.result().error() == actors::Errc::cancelled);
}

TEST_CASE("a virtual clock that was told to go on for ever, again and again, stands still and still works") {
  testing::Simulation sim({.chips = 1});
  define_kernels(sim);
  auto& node = sim.node();
  auto before = sim.now();
  for (int i = 0; i < 5; ++i) {
    sim.advance(hours::max());
    CHECK(sim.now() >= before);
    before = sim.now();
  }
  CHECK(before > years(100));
  const auto x = node.tensor<float>({1});
  const auto program = [](Orchestrator& n, Tensor y) { n.submit("step", inout(y), deadline(1min)); };
  node.run({.deadline = 1min}, program, x);
  CHECK(node.submit({.deadline = years(90)}, program, x).wait(1h));
  CHECK(x.host<const float>()[0] == 2.0F);
}

TEST_CASE("a communicator refuses a time that it cannot wait for, instead of waiting another") {
  comm::CommOptions options;
  options.timeout = hours::max();
  const auto refused = comm::Communicator::init(0, 2, "never", options);
  REQUIRE_FALSE(refused);
  CHECK(render(refused.error()).find("a timeout of 9223372036854775807 ms") != std::string::npos);
}

TEST_CASE("a node elsewhere is waited for as long as it takes") {
  const test::TemporaryFolder folder;
  platform::NodeOptions options;
  options.listen = "unix:" + folder / "socket";
  options.platform = tests::built("lib/libtroupe_a2a3sim.so");
  options.silence = hours::max();
  const auto server = platform::NodeServer::start(options).value();
  platform::RemoteNode node{server->address()};
  node.silence = node.patience = hours::max();
  const auto facts = platform::describe_node(node);
  REQUIRE_MESSAGE(facts, render(facts.error()));
  CHECK(facts->chips == 1);
  System system({.threads = 2});
  const auto pod = system.node({.remote = {node}, .rejoin = hours::max()});
  pod.run([](Orchestrator& n) { n.drain(); });
}
