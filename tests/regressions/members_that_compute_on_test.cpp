// A member of a group failed while another one computed: the other's chip was busy with a result that nobody
// wanted any more for as long as the kernel took, for ever if it never looked up, and so was the run.
//
// Promised now: the others are told at once. A kernel that asks whether it is wanted ends; one that does not
// is left behind with its chip after the grace, as with a deadline. The run ends with the error of the member
// that failed, and the next one works.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/apart.hpp"
#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

std::atomic<int> members_inside{0};

NodeConfig two_chips(std::chrono::nanoseconds grace) {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = 2;
  config.abort_grace = grace;
  config.device_options = {{"memory_bytes", "16777216"}, {"grace_ms", "0"}};
  return config;
}

SystemConfig quiet() {
  SystemConfig config;
  config.log = [](int, std::string_view, std::string_view) {};
  return config;
}

std::vector<std::uint8_t> object(const std::string& name) {
  std::ifstream file(tests::built("tests/platform/sim/foreign/" + name + ".so"), std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!bytes.empty());
  return bytes;
}

}  // namespace

/// The one that fails does so when the other has come; that one computes for as long as it is wanted.
TROUPE_KERNEL(member_computes_on)(KernelArgs& k) {
  if (k.scalar<std::int32_t>(0) != 0) {
    while (members_inside.load() == 0) std::this_thread::yield();
    throw std::runtime_error("this member has had enough");
  }
  ++members_inside;
  while (!k.aborted()) std::this_thread::yield();
}
TROUPE_KERNEL(member_of_the_next_run)(KernelArgs& k) { ++k.tensor<std::int32_t>(0)[0]; }

TEST_CASE("a member that computes on is told when another has failed, and keeps its chip") {
  System system(quiet());
  // Nobody is given up: the kernel itself hears of it.
  auto node = system.node(two_chips(std::chrono::hours(1)));
  node.load(this_module());
  for (const int fails : {0, 1}) {
    CAPTURE(fails);
    members_inside = 0;
    const auto error = test::error_of([&] {
      node.run([&](Orchestrator& n) {
        n.submit_group("member_computes_on",
                       {args(scalar(std::int32_t{fails == 0})), args(scalar(std::int32_t{fails == 1}))},
                       chips(0, 1));
      });
    });
    REQUIRE(error);
    CHECK(error->root().message().find("this member has had enough") != std::string::npos);
    CHECK(error->path().find("chip" + std::to_string(fails)) != std::string::npos);
  }
  for (const auto& chip : node.status().children) CHECK(chip.restarts == 0);
}

namespace {

/// What was wrong, in a process of its own: the thread that is left behind, and all that it needs, stay.
std::string leave_a_member_behind() {
  static std::int32_t words[3];  // read by who was left behind
  System system(quiet());
  auto node = system.node(two_chips(1ms));
  node.add_kernel("stays", object("stays"));
  node.load(this_module());
  const auto at = scalar(reinterpret_cast<std::uint64_t>(&words));
  auto run = node.submit([&](Orchestrator& n) {
    n.submit_group("stays", {args(at, scalar(std::int64_t{1})), args(at, scalar(std::int64_t{0}))},
                   chips(0, 1));
  });
  const auto ended = run.result();
  if (ended) return "the run ended well";
  const auto said = render(ended.error());
  if (said.find("this member has had enough") == std::string::npos)
    return "its error is another one: " + said;
  if (ended.error().path().find("chip0") == std::string::npos) return "its error is of another chip: " + said;
  auto x = node.tensor<std::int32_t>({1}, 0), y = node.tensor<std::int32_t>({1}, 0);
  node.run([&](Orchestrator& n) {
    n.submit("member_of_the_next_run", inout(x), on_chip(0));
    n.submit("member_of_the_next_run", inout(y), on_chip(1));
  });
  if (x.host<std::int32_t>()[0] != 1 || y.host<std::int32_t>()[0] != 1) return "the next run did not work";
  const auto status = node.status();
  if (status.children[0].restarts != 0) return "the chip of the member that failed was given up";
  if (status.children[1].restarts != 1) return "the chip of the member that stayed was not given up";
  __atomic_store_n(&words[1], 1, __ATOMIC_RELEASE);
  while (__atomic_load_n(&words[2], __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();  // it has left
  return "";
}

}  // namespace

TEST_CASE("a member that hears nothing is left behind with its chip when another has failed") {
  CHECK(test::apart(leave_a_member_behind) == "");
}
