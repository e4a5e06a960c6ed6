// `fail("doubel")`, `kill_chip(99)` and `fail_call("set_devise", 0)` of the test kit were taken, never fired,
// and the test that used them passed without what it tests. Promised now: a fault that could never fire is
// refused when it is given, and so is a question about a chip or kernel that the simulation does not have.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using testing::Simulation;

TEST_CASE("a fault of a kernel that there is not is refused") {
  Simulation sim;
  CHECK(error_of([&] { sim.fault(testing::fail("double")); })->hint() ==
        "there is nothing yet: call kernel(…) first");
  sim.kernel("double", [](auto&) {});
  const auto error = error_of([&] { sim.fault(testing::fail("doubel")); });
  REQUIRE(error);
  CHECK(*error == Errc::unknown_callable);
  CHECK(error->message() == "nothing in the simulation is called \"doubel\"");
  CHECK(error->hint() == "there are: double");
  CHECK(error_of([&] { sim.fault(testing::kill_chip(0).of("doubel")); }));
  sim.fault(testing::fail("double"));
  CHECK(error_of([&] { sim.node().run([](Orchestrator& node) { node.submit("double"); }); }));
}

TEST_CASE("a fault of a chip that there is not is refused") {
  Simulation sim({.chips = 2, .nodes = 3});
  sim.fault(testing::kill_chip(5));
  const auto error = error_of([&] { sim.fault(testing::kill_chip(99)); });
  REQUIRE(error);
  CHECK(*error == Errc::no_such_chip);
  CHECK(error->message() == "a fault on chip 99 never fires: the simulation has 6 chips");
  CHECK(error_of([&] { sim.fault(testing::kill_chip(6)); }));
  CHECK(error_of([&] { sim.fault(testing::kill_chip(-1)); }));
  CHECK(error_of([&] { sim.fault(testing::fail().on_chip(-5)); }));
  CHECK(error_of([&] { sim.fault(testing::fail_call("set_device", -2)); }));
}

TEST_CASE("a fault that is never due, or of a call that there is not, is refused") {
  Simulation sim;
  CHECK(error_of([&] { sim.fault(testing::fail().at(0)); })->hint() == "tasks and calls are counted from 1");
  CHECK(error_of([&] { sim.fault(testing::fail().times(0)); }));
  CHECK(error_of([&] { sim.fault(testing::delay(-1ns)); }));
  const auto call = error_of([&] { sim.fault(testing::fail_call("set_devise", 0)); });
  REQUIRE(call);
  CHECK(call->hint().find("set_device,") != std::string::npos);
  CHECK(error_of([&] { sim.fault(testing::fail_call("create_device_context", 1)); }));
  sim.fault(testing::fail_call("create_device_context", -1));
  CHECK(error_of([&] { (void)sim.node(); }));
}

TEST_CASE("what is asked of a chip or kernel that there is not is refused") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  CHECK(sim.ran("step") == 0);
  CHECK(error_of([&] { (void)sim.ran("stepp"); }));
  CHECK(error_of([&] { (void)sim.tried("stepp"); }));
  CHECK(error_of([&] { (void)sim.ran_on(2); }));
  CHECK(error_of([&] { sim.kill(2); }).value() == Errc::no_such_chip);
  CHECK(error_of([&] { sim.kill(-1); }));
}
