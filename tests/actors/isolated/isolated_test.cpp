// Whole systems whose chips have a process each.
#include <doctest/doctest.h>

#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using tests::built;

TROUPE_MODULE("isolated_systems");
TROUPE_KERNEL(kernel_of_the_program)(KernelArgs&) {}

namespace {

const std::string module_file = built("tests/platform/isolated/isolated_kernels.so");

struct Machine {
  explicit Machine(NodeConfig config = {}) : system(quiet()) {
    if (config.platform == "a2a3sim") config.platform = built("lib/libtroupe_a2a3sim.so");
    config.own_process = true;
    node.emplace(system.node(config));
    node->load(module_file);
  }
  static SystemConfig quiet() {
    SystemConfig config;
    config.log = [](int, std::string_view, std::string_view) {};
    return config;
  }
  System system;
  std::optional<Node> node;
};

std::int64_t process_of(const Node& node, int chip) {
  auto number = node.tensor<std::int64_t>({1});
  node.run(
      [chip](Orchestrator& n, Tensor x) { n.submit("isolated_process", out(x), on_chip(chip), retry(3)); },
      number);
  return number.host<const std::int64_t>()[0];
}

/// Until the kernel was running when its deadline came: on a busy machine it may not have begun.
void run_into_deadline(const Node& node, const char* kernel, std::chrono::nanoseconds deadline,
                       std::int64_t process) {
  do {
    const auto error =
        error_of([&] { node.run([&](Orchestrator& n) { n.submit(kernel, troupe::deadline(deadline)); }); });
    REQUIRE(error);
    CHECK(*error == Errc::deadline_exceeded);
  } while (process_of(node, 0) == process);
}

bool is_there(std::int64_t process) { return std::filesystem::exists("/proc/" + std::to_string(process)); }

}  // namespace

TEST_CASE(
    "a kernel that crashes fails its run with an error that names kernel and chip, and the next run works") {
  Machine machine({.chips = 2});
  auto& node = *machine.node;
  auto x = node.tensor<float>({16});
  const auto other = process_of(node, 1);
  const auto error = error_of([&] {
    node.run([](Orchestrator& n) { n.submit("isolated_crash", on_chip(0), name("the bad one")); });
  });
  REQUIRE(error);
  const auto text = render(*error);
  CHECK_MESSAGE(text.find("isolated_crash") != std::string::npos, text);
  CHECK_MESSAGE(text.find("the bad one") != std::string::npos, text);
  CHECK_MESSAGE(text.find("node0/chip0") != std::string::npos, text);
  node.run([](Orchestrator& n, Tensor a) { n.submit("isolated_add", inout(a), scalar(2.0F), on_chip(0)); },
           x);
  CHECK(x.host<const float>()[15] == 2.0F);
  CHECK(process_of(node, 1) == other);
  const auto status = node.status();
  CHECK(status.children[0].restarts == 1);
  CHECK(status.children[1].restarts == 0);
}

TEST_CASE("who is lost with the chip of another's crash is told apart from whose kernel crashed") {
  Machine machine;
  auto& node = *machine.node;
  auto x = node.tensor<float>({16});
  const auto error = error_of([&] {
    node.run([&](Orchestrator& n) {
      n.submit("isolated_crash", name("culprit"), retry(2));
      n.submit("isolated_add", inout(x), scalar(2.0F), name("bystander"));
    });
  });
  REQUIRE(error);
  const auto text = render(*error);
  CAPTURE(text);
  CHECK(text.find("of task 'culprit'") != std::string::npos);
  CHECK(text.find("\"bystander\" failed") == std::string::npos);
  const bool bystander = text.find("\"bystander\" was lost with its chip") != std::string::npos;
  CHECK((bystander || text.find("\"culprit\" failed") != std::string::npos));
}

TEST_CASE("a plan one of whose kernels crashed is not said to be lost by no fault of its own") {
  Machine machine;
  auto& node = *machine.node;
  auto x = node.tensor<float>({16});
  const auto plan = node.record(
      [](Orchestrator& n, Tensor a) {
        n.submit("isolated_crash_on_one", in(a), name("mul"));
        n.submit("isolated_add", inout(a), scalar(2.0F), name("after"));
      },
      x);
  x.host<float>()[0] = 1.0F;
  const auto text = render(*error_of([&] { node.run(plan, x); }));
  CAPTURE(text);
  CHECK(text.find("of task 'mul'") != std::string::npos);
  CHECK(text.find("no fault of its own") == std::string::npos);
}

TEST_CASE("a task that may be tried again survives the process that was killed under it") {
  const std::string once = built("tests/actors/isolated/once-" + std::to_string(::getpid()));
  std::filesystem::remove(once);
  ::setenv("TROUPE_TEST_CRASH_ONCE", once.c_str(), 1);
  Machine machine;
  auto x = machine.node->tensor<float>({16}), y = machine.node->tensor<float>({16});
  machine.node->run(
      [](Orchestrator& n, Tensor a, Tensor b) { n.submit("isolated_crash_if", in(a), out(b), retry(2)); }, x,
      y);
  CHECK(y.host<const float>()[15] == 1.0F);
  CHECK(machine.node->status().children[0].restarts == 1);
  std::filesystem::remove(once);
}

TEST_CASE("a kernel that loops is killed with its process at its deadline, and nothing is in quarantine") {
  auto host = std::make_shared<platform::HostThreads>();
  SystemConfig quiet = Machine::quiet();
  quiet.host = host;
  std::int64_t process = 0;
  {
    System system(quiet);
    auto node = system.node({.platform = built("lib/libtroupe_a2a3sim.so"),
                             .chips = 1,
                             .abort_grace = 20ms,
                             .device_options = {{"grace_ms", "20"}},
                             .own_process = true});
    node.load(module_file);
    process = process_of(node, 0);
    run_into_deadline(node, "isolated_loop", 50ms, process);
    CHECK_FALSE(is_there(process));
    CHECK(node.status().children[0].restarts == 1);
    CHECK(host->quarantined() == 0);
  }
  CHECK(host->quarantined() == 0);
}

TEST_CASE("a deadline ends a task on a chip whose process was stopped") {
  Machine machine({.abort_grace = 20ms, .device_options = {{"grace_ms", "20"}}});
  auto& node = *machine.node;
  const auto process = process_of(node, 0);
  run_into_deadline(node, "isolated_stop", 100ms, process);
  CHECK_FALSE(is_there(process));
}

TEST_CASE("a chip whose process is killed while nothing runs comes back by itself") {
  Machine machine;
  auto& node = *machine.node;
  const auto process = process_of(node, 0);
  ::kill(static_cast<pid_t>(process), SIGKILL);
  while (node.status().children[0].restarts == 0) {
  }
  CHECK(node.status().children[0].restarts == 1);
  CHECK(process_of(node, 0) != process);
}

TEST_CASE("chip programs, foreign objects and checked chips work in processes of their own") {
  Machine machine({.device_options = {{"checked", "1"}}});
  auto& node = *machine.node;
  auto x = node.tensor<float>({16});
  node.run([](Orchestrator& n, Tensor a) { n.submit("isolated_chain", inout(a)); }, x);
  CHECK(x.host<const float>()[0] == 4.0F);
  std::ifstream file(built("tests/platform/sim/foreign/add.so"), std::ios::binary);
  node.add_kernel("foreign_add", std::vector<std::uint8_t>(std::istreambuf_iterator<char>(file), {}));
  auto y = node.tensor<float>({16}, 1.0F), z = node.tensor<float>({16});
  node.run([](Orchestrator& n, Tensor a, Tensor b,
              Tensor c) { n.submit("foreign_add", in(a), in(b), out(c), scalar(0.5F)); },
           x, y, z);
  CHECK(z.host<const float>()[15] == 5.5F);
}

TEST_CASE("tensors of all sizes and memory of the user's own go to isolated chips and come back") {
  Machine machine({.chips = 2});
  auto& node = *machine.node;
  std::vector<float> own(100'000, 1.0F);
  auto large = node.tensor<float>({3'000'000}, 1.0F), small = node.tensor<float>({3}, 1.0F);
  node.run(
      [&own](Orchestrator& n, Tensor a, Tensor b) {
        const Tensor mine = runtime::Tensor::host(own.data(), {static_cast<std::uint32_t>(own.size())});
        for (int i = 0; i < 6; ++i) {
          for (const auto& tensor : {a, b}) {
            n.submit("isolated_add", inout(tensor), scalar(1.0F), on_chip(i % 2));
          }
          n.submit("isolated_add", inout(mine), scalar(1.0F), on_chip(i % 2));
        }
      },
      large, small);
  CHECK(large.host<const float>()[2'999'999] == 7.0F);
  CHECK(small.host<const float>()[2] == 7.0F);
  CHECK(own[99'999] == 7.0F);
}

TEST_CASE("two systems have chips of their own, and the end of one is nothing to the other") {
  auto first = std::make_unique<Machine>();
  Machine second;
  const auto a = process_of(*first->node, 0), b = process_of(*second.node, 0);
  CHECK(a != b);
  first.reset();
  CHECK_FALSE(is_there(a));
  CHECK(process_of(*second.node, 0) == b);
}

TEST_CASE("a system ends while its isolated chips are busy") {
  for (int round = 0; round < 5; ++round) {
    Handle run;
    std::int64_t process = 0;
    {
      Machine machine({.device_options = {{"grace_ms", "20"}}});
      process = process_of(*machine.node, 0);
      run = machine.node->submit([](Orchestrator& n) {
        for (int i = 0; i < 100; ++i) n.submit("isolated_nothing");
        n.submit("isolated_loop");
      });
    }
    CHECK_FALSE(run.result());
    CHECK_FALSE(is_there(process));
  }
}

TEST_CASE("kernels of the program itself are refused with what to do, and a device table, too") {
  Machine machine;
  machine.node->load(this_module());
  const auto error =
      error_of([&] { machine.node->run([](Orchestrator& n) { n.submit("kernel_of_the_program"); }); });
  REQUIRE(error);
  CHECK_MESSAGE(render(*error).find("put it into a module") != std::string::npos, render(*error));
  NodeConfig config;
  config.own_process = true;
  config.device = [](int, std::uint32_t) { return Result<platform::DeviceApi>(platform::DeviceApi{}); };
  const auto refused = error_of([&] { (void)machine.system.node(config); });
  REQUIRE(refused);
  CHECK(*refused == Errc::bad_argument);
}

TEST_CASE("the deterministic mode refuses isolated chips with a sentence") {
  testing::Simulation sim;
  const auto error = error_of([&] {
    ChipConfig chip;
    chip.platform = built("lib/libtroupe_a2a3sim.so");
    chip.own_process = true;
    (void)sim.node().add_executor(chip);
  });
  REQUIRE(error);
  CHECK_MESSAGE(render(*error).find("deterministic") != std::string::npos, render(*error));
}

TEST_CASE("processes killed at any moment: every run ends, and retries bring the right result") {
  std::mt19937_64 random(test::first_seed());
  Machine machine({.chips = 3, .restart = {.restarts = 1'000'000, .within = 1s}});
  auto& node = *machine.node;
  for (std::uint64_t round = 0; round < test::cases(50); ++round) {
    CAPTURE(round);
    auto x = node.tensor<float>({64});
    const auto victim = process_of(node, static_cast<int>(random() % 3));
    auto run = node.submit(
        [](Orchestrator& n, Tensor a) {
          for (int i = 0; i < 20; ++i) {
            for (int chip = 0; chip < 3; ++chip) n.submit("isolated_nothing", on_chip(chip), retry(5));
          }
          auto y = n.tensor<float>({64});
          n.submit("isolated_copy", in(a), out(y), retry(5));
        },
        x);
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 3000);
    while (std::chrono::steady_clock::now() < until) {
    }
    ::kill(static_cast<pid_t>(victim), SIGKILL);
    const auto result = run.result();
    if (!result) CHECK_MESSAGE(false, render(result.error()));
  }
}
