// Whole systems whose chips are those of nodes elsewhere: here of node servers in this process, over sockets
// of this user's own. What goes over TLS and between processes is tested with the command (tests/apps/nodes).
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "platform/nodes/fixture.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using test::TestNode;
using tests::built;

namespace {

const std::string module_file = built("tests/platform/isolated/isolated_kernels.so");

platform::RemoteNode at(const TestNode& node) {
  platform::RemoteNode remote;
  remote.address = node.address();
  remote.silence = 20s;
  return remote;
}

struct Machine {
  explicit Machine(NodeConfig config) : system(quiet()) {
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

void add_on_its_second_chip(Orchestrator& node, Tensor x) {
  node.submit("isolated_add", inout(x), scalar(1.0F), on_chip(1));
}

}  // namespace

TEST_CASE("a node's chips are those of all its hosts, numbered through") {
  const TestNode a(2), b(1);
  Machine machine({.remote = {at(a), at(b)}});
  const auto& node = *machine.node;
  CHECK(node.chips() == 3);
  std::set<std::int64_t> processes;
  for (int chip = 0; chip < 3; ++chip) processes.insert(process_of(node, chip));
  CHECK(processes.size() == 3);
  CHECK(a.node->chips_in_use() == 2);
  CHECK(b.node->chips_in_use() == 1);
}

TEST_CASE("tensors of all sizes and memory of the user's own go to hosts, between them, and come back") {
  const TestNode a, b;
  Machine machine({.remote = {at(a), at(b)}});
  auto& node = *machine.node;
  std::vector<float> own(100'000, 1.0F);
  auto large = node.tensor<float>({3'000'000}, 1.0F), small = node.tensor<float>({3}, 1.0F);
  node.run(
      [&own](Orchestrator& n, Tensor l, Tensor s) {
        const Tensor mine = runtime::Tensor::host(own.data(), {static_cast<std::uint32_t>(own.size())});
        for (int i = 0; i < 6; ++i) {
          for (const auto& tensor : {l, s})
            n.submit("isolated_add", inout(tensor), scalar(1.0F), on_chip(i % 2));
          n.submit("isolated_add", inout(mine), scalar(1.0F), on_chip(i % 2));
        }
      },
      large, small);
  CHECK(large.host<const float>()[2'999'999] == 7.0F);
  CHECK(small.host<const float>()[2] == 7.0F);
  CHECK(own[99'999] == 7.0F);
}

TEST_CASE("many small tasks with tensors of their own give the same results on hosts") {
  const TestNode a(2), b(2);
  Machine machine({.remote = {at(a), at(b)}});
  auto& node = *machine.node;
  std::vector<Tensor> tensors;
  for (int i = 0; i < 400; ++i) tensors.push_back(node.tensor<float>({64}, static_cast<float>(i)));
  node.run([&](Orchestrator& n) {
    for (int round = 0; round < 3; ++round) {
      for (auto& tensor : tensors) n.submit("isolated_add", inout(tensor), scalar(1.0F));
    }
  });
  for (std::size_t i = 0; i < tensors.size(); ++i)
    CHECK(tensors[i].host<const float>()[63] == static_cast<float>(i) + 3.0F);
}

TEST_CASE(
    "a kernel that crashes on a host fails its run with kernel, chip and host, and the next run works") {
  const TestNode a, b;
  Machine machine({.remote = {at(a), at(b)}});
  auto& node = *machine.node;
  const auto other = process_of(node, 0);
  const auto error = error_of([&] {
    node.run([](Orchestrator& n) { n.submit("isolated_crash", on_chip(1), name("the bad one")); });
  });
  REQUIRE(error);
  const auto text = render(*error);
  for (const auto& part :
       {std::string("isolated_crash"), std::string("the bad one"), std::string("node0/chip1"), b.address()})
    CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  auto x = node.tensor<float>({16});
  node.run([](Orchestrator& n, Tensor t) { n.submit("isolated_add", inout(t), scalar(2.0F), on_chip(1)); },
           x);
  CHECK(x.host<const float>()[15] == 2.0F);
  CHECK(process_of(node, 0) == other);
  CHECK(node.status().children[0].restarts == 0);
}

TEST_CASE("a host that is lost fails what ran there with its name, and has its chips again when it is back") {
  const TestNode a;
  TestNode b;
  Machine machine({.remote = {at(a), at(b)}});
  auto& node = *machine.node;
  (void)process_of(node, 1);
  auto run = node.submit([](Orchestrator& n) { n.submit("isolated_loop", on_chip(1)); });
  while (node.status().children.at(1).running == 0)
    std::this_thread::yield();  // what has not left would wait
  b.end();
  const auto result = run.result();
  REQUIRE_FALSE(result);
  CHECK_MESSAGE(result.error() == Errc::chip_lost, render(result.error()));
  CHECK_MESSAGE(render(result.error()).find(b.address()) != std::string::npos, render(result.error()));
  // What may run anywhere goes on, what has to be there waits until it is back.
  auto waits = node.submit([](Orchestrator& n) { n.submit("isolated_nothing", on_chip(1), retry(5)); });
  for (int i = 0; i < 20; ++i) node.run([](Orchestrator& n) { n.submit("isolated_nothing", retry(5)); });
  b.start();
  waits.get();
  CHECK(b.node->chips_in_use() == 1);
}

TEST_CASE("a host that does not come back in its time leaves its chips out of use") {
  const TestNode a;
  TestNode b;
  Machine machine({.remote = {at(a), at(b)}, .rejoin = 0s});
  auto& node = *machine.node;
  b.end();
  const auto error = error_of(
      [&] { node.run([](Orchestrator& n) { n.submit("isolated_nothing", on_chip(1), retry(100)); }); });
  REQUIRE(error);
  CHECK_MESSAGE(error->root() == Errc::chip_retired, render(*error));
  node.run([](Orchestrator& n) { n.submit("isolated_nothing"); });
}

TEST_CASE("a pod has one node on each host") {
  const TestNode a(2), b(2);
  System system(Machine::quiet());
  PodConfig config;
  config.nodes = {NodeConfig{.name = "node0", .remote = {at(a)}},
                  NodeConfig{.name = "node1", .remote = {at(b)}}};
  const auto pod = system.pod(config);
  pod.load(module_file);
  CHECK(pod.chips() == 2);
  auto x = pod.tensor<float>({16}), y = pod.tensor<float>({16});
  pod.run(
      [](Orchestrator& n, Tensor s, Tensor t) {
        n.submit(add_on_its_second_chip, inout(s), on_chip(0));
        n.submit(add_on_its_second_chip, inout(t), on_chip(1));
      },
      x, y);
  CHECK(x.host<const float>()[0] == 1.0F);
  CHECK(y.host<const float>()[0] == 1.0F);
}

TEST_CASE("a host that is not there, or in use, or named twice, is refused when the node is made") {
  const TestNode a;
  System system(Machine::quiet());
  const auto refused = [&](NodeConfig config, const std::string& part) {
    const auto error = error_of([&] { (void)system.node(config); });
    REQUIRE(error);
    CHECK_MESSAGE(render(*error).find(part) != std::string::npos, render(*error));
  };
  auto nowhere = at(a);
  nowhere.address += "-not";
  refused({.remote = {at(a), nowhere}}, nowhere.address);
  refused({.remote = {at(a), at(a)}}, "is there twice");
  refused({.own_process = true, .remote = {at(a)}}, "remote");
  const auto first = system.node({.remote = {at(a)}});
  refused({.name = "second", .remote = {at(a)}}, "in use by");
}

TEST_CASE("a system ends while its hosts are busy, or away") {
  for (int round = 0; round < 4; ++round) {
    TestNode a;
    Handle run;
    {
      Machine machine({.remote = {at(a)}});
      (void)process_of(*machine.node, 0);
      run = machine.node->submit([](Orchestrator& n) {
        for (int i = 0; i < 100; ++i) n.submit("isolated_nothing");
        n.submit("isolated_loop");
      });
      if (round % 2 == 1) a.end();
    }
    CHECK_FALSE(run.result());
  }
}

TEST_CASE("the deterministic mode refuses chips of other machines with a sentence") {
  const TestNode a;
  testing::Simulation sim;
  const auto error = error_of([&] {
    ChipConfig chip;
    chip.remote = std::make_shared<platform::RemoteChip>(platform::RemoteChip{at(a), 0, {1, 2}, {}});
    (void)sim.node().add_executor(chip);
  });
  REQUIRE(error);
  CHECK_MESSAGE(render(*error).find("deterministic") != std::string::npos, render(*error));
}

TEST_CASE("hosts that end at any moment and come back: every run ends, and retries bring the right result") {
  std::mt19937_64 random(test::first_seed());
  TestNode nodes[2] = {TestNode(2), TestNode(2)};
  Machine machine({.remote = {at(nodes[0]), at(nodes[1])}, .restart = {.restarts = 1'000'000, .within = 1s}});
  auto& node = *machine.node;
  for (std::uint64_t round = 0; round < test::cases(20); ++round) {
    CAPTURE(round);
    auto x = node.tensor<float>({64}, 3.0F), y = node.tensor<float>({64});
    auto run = node.submit(
        [](Orchestrator& n, Tensor a, Tensor b) {
          for (int i = 0; i < 20; ++i) {
            for (int chip = 0; chip < 4; ++chip) n.submit("isolated_nothing", on_chip(chip), retry(9));
          }
          n.submit("isolated_copy", in(a), out(b), retry(9));
        },
        x, y);
    auto& victim = nodes[random() % 2];
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 3000);
    while (std::chrono::steady_clock::now() < until) {
    }
    victim.end();
    victim.start();
    // A retry that has its turns used up is an end, too; nothing may hang, and nothing be wrong.
    if (!run.result()) continue;
    float value = 0;
    if (const auto lost = error_of([&] { value = y.host<const float>()[63]; })) {
      CHECK(*lost == Errc::data_lost);
    } else {
      CHECK(value == 3.0F);
    }
  }
}

TEST_CASE(
    "that a host is lost, cannot be reached, and does not come back is told once, not by each of its chips") {
  std::mutex mutex;
  std::vector<std::string> told;
  SystemConfig quiet;
  quiet.log = [&](int level, std::string_view, std::string_view text) {
    const std::lock_guard lock(mutex);
    if (level <= 2) told.emplace_back(text);
  };
  TestNode host(4);
  const TestNode other;
  {
    System system(quiet);
    auto node = system.node({.remote = {at(host), at(other)}, .rejoin = 300ms});
    node.load(module_file);
    host.end();
    // Waits for the host until that is given up.
    const auto error = error_of([&] {
      node.run([](Orchestrator& n) {
        for (int chip = 0; chip < 4; ++chip) n.submit("isolated_nothing", on_chip(chip), retry(3));
      });
    });
    REQUIRE(error);
  }
  const std::lock_guard lock(mutex);
  const auto count = [&](const std::string& part) {
    return std::count_if(told.begin(), told.end(),
                         [&](const std::string& text) { return text.find(part) != std::string::npos; });
  };
  CHECK(count("the connection to " + host.address() + " was lost") == 1);
  CHECK(count("cannot connect to " + host.address()) <= 1);
  CHECK(count("could not be reached for") <= 1);
  std::string all;
  for (const auto& text : told) all += text + "\n";
  CHECK_MESSAGE(told.size() <= 3, all);
}
