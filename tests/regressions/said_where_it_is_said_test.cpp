// What could never work, or meant nothing certain, was taken and failed late or not at all: more tensors than
// a kernel takes failed on the chip; the same `out` in two members of a group was written by both; submit_sub
// of a kernel ran it on a chip; a copy between tensors of different element types made other numbers; an
// orchestrator used from another thread raced; a limit above the other, an arena of no bytes, nodes of a pod
// that have one name, an option of a device twice.
//
// Promised now: each is refused with a sentence where it is said. (An option of a submit that is given twice
// does not compile: tests/refused.)
#include <doctest/doctest.h>

#include <thread>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

TROUPE_KERNEL(regression_takes_any)(KernelArgs&) {}

namespace {

void says(const std::optional<Error>& error, std::string_view what) {
  REQUIRE(error);
  CAPTURE(render(*error));
  CHECK(render(*error).find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("a kernel with more tensors or scalars than it takes is refused at the submit") {
  System system({.threads = 2});
  const auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.load(this_module());
  node.run([](Orchestrator& program) {
    const auto x = program.tensor<float>({1});
    const auto submit = [&](std::size_t tensors, std::size_t scalars) {
      auto call = program.new_call(tensors);
      for (std::size_t i = 0; i < tensors; ++i) call.args.add(in(x));
      for (std::size_t i = 0; i < scalars; ++i) call.args.add(scalar(1));
      program.submit_gathered(program.callable("regression_takes_any"), std::move(call));
    };
    const auto many = error_of([&] { submit(33, 0); });
    says(many, "kernel \"regression_takes_any\" got 33 tensors and 0 scalars");
    says(many, "at most 32 tensors and 16 scalars");
    CHECK(*many == Errc::bad_argument);
    says(error_of([&] { submit(0, 17); }), "got 0 tensors and 17 scalars");
    submit(32, 16);
    std::vector<Args> members(1);
    for (int i = 0; i < 33; ++i) members[0].add(in(x));
    says(error_of([&] { program.submit_group("regression_takes_any", members); }), "got 33 tensors");
    program.drain();
  });
}

TEST_CASE("outputs of two members of a group in the same memory are refused") {
  Simulation sim({.chips = 2});
  sim.kernel("fill", [](auto&) {});
  sim.node().run([](Orchestrator& node) {
    auto x = node.tensor<float>({4, 4});
    auto temporary = node.alloc<float>({4});
    says(error_of([&] {
           node.submit_group("fill", {args(in(x), out(x)), args(out_existing(x))});
         }),
         "tensor argument 1 of member 0 and tensor argument 0 of member 1 are outputs in the same memory");
    // One of the two updates would be lost.
    says(error_of([&] {
           node.submit_group("fill", {args(inout(x)), args(inout(x))});
         }),
         "tensor argument 0 of member 0 and tensor argument 0 of member 1 are outputs in the same memory");
    CHECK(error_of([&] { node.submit_group("fill", {args(out(x)), args(inout(x))}); }));
    CHECK(error_of([&] { node.submit_group("fill", {args(out(temporary)), args(out(temporary))}); }));
    CHECK(error_of([&] { node.submit_group("fill", {args(out(x.rows(0, 3))), args(out(x.rows(2, 4)))}); }));
    // Parts that do not meet, one member alone, and what its members agree upon.
    node.submit_group("fill", {args(out(x.rows(0, 2))), args(out(x.rows(2, 4)))});
    node.submit_group("fill", {args(out(x.slice(1, 0, 2))), args(out(x.slice(1, 2, 4)))});
    node.submit_group("fill", {args(inout(x.rows(0, 2))), args(inout(x.rows(2, 4)))});
    node.submit_group("fill", {args(out(x), out(x)), args()});
    node.submit_group("fill", {args(no_dep(x)), args(no_dep(x))});
    node.submit_group("fill", {args(in(x)), args(in(x))});
  });
  CHECK(sim.ran("fill") == 12);
}

TEST_CASE("submit_sub of what is no host function says what to call") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  sim.node().add_function("host_step", [](HostArgs&) {});
  sim.node().run([](Orchestrator& node) {
    const auto error = error_of([&] { node.submit_sub("step"); });
    says(error, "submit_sub of \"step\", which is a kernel");
    says(error, "call submit(\"step\", …)");
    node.submit_sub("host_step");
  });
  CHECK(sim.ran("step") == 0);
}

TEST_CASE("a copy between tensors of different element types is refused") {
  Simulation sim({.chips = 1});
  const auto chip = sim.node().chip(0);
  const auto device = chip.malloc<float>({4});
  const auto host = sim.node().tensor<std::int32_t>({4}, 1);
  for (const auto& error :
       {error_of([&] { chip.copy_to(device, host); }), error_of([&] { chip.copy_from(host, device); })}) {
    says(error, "i32");
    CHECK(*error == runtime::Errc::dtype_mismatch);
  }
  chip.copy_to(device, sim.node().tensor<float>({4}, 1.0F));
}

TEST_CASE("an orchestrator that is used from a thread that is not its program's says so") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  sim.node().run([](Orchestrator& node) {
    auto x = node.alloc<float>({1});
    std::vector<std::optional<Error>> errors(4);
    std::thread([&] {
      errors[0] = error_of([&] { node.submit("step"); });
      errors[1] = error_of([&] { (void)node.alloc<float>({1}); });
      errors[2] = error_of([&] { const auto scope = node.scope(); });
      errors[3] = error_of([&] { node.submit_group("step", {args()}); });
    }).join();
    for (const auto& error : errors) {
      says(error, "from a thread that is not its own");
      CHECK(*error == Errc::wrong_program);
    }
    node.submit("step", inout(x));
  });
  CHECK(sim.ran("step") == 1);
}

TEST_CASE("a chip that was removed is none of a node's chips any more") {
  Simulation sim({.chips = 3});
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  node.remove_executor(1);
  CHECK(node.chips() == 2);
  node.run([](Orchestrator& program) {
    CHECK(program.chips() == 2);
    const auto error = error_of([&] { program.submit("step", on_chip(1)); });
    says(error, "chip number 1 of");
    says(error, "was removed: it has numbers 0, 2");
    CHECK(*error == Errc::chip_retired);
    CHECK(error_of([&] { program.submit("step", on_chip(9)); }).value() == Errc::no_such_chip);
    CHECK(error_of([&] {
            program.submit_group("step", {args(), args(), args()});
          }).value() == Errc::group_too_large);
    program.submit("step", on_chip(0));
    program.submit("step", on_chip(2));
  });
  node.remove_executor(0);
  node.run([](Orchestrator& program) {
    says(error_of([&] { program.submit("step", on_chip(0)); }), "it has number 2 only");
  });
  const auto sub = node.status().children.size() - 1;
  node.remove_executor(static_cast<int>(sub));
  node.run([](Orchestrator& program) {
    says(error_of([&] { program.submit_sub([](HostArgs&) {}); }), "no sub-worker");
  });
}

TEST_CASE("a configuration that contradicts itself is refused, with the option's name") {
  Simulation kit;  // for a device that needs no library
  auto api = [script = kit.script()](int, std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  System system({.log_level = 0});
  const auto node = [&](const std::string& name) { return NodeConfig{.name = name, .device = api}; };
  const auto refused = [&](const std::function<void(NodeConfig&)>& change) {
    auto config = node("mine");
    change(config);
    return error_of([&] { (void)system.node(config); });
  };
  says(refused([](NodeConfig& c) {
         c.soft_limit = 9;
         c.hard_limit = 8;
       }),
       "mine: soft_limit = 9 is more than hard_limit = 8");
  says(refused([](NodeConfig& c) { c.arena_bytes = 0; }), "mine: arena_bytes = 0");
  says(refused([](NodeConfig& c) { c.arena_bytes = 1; }), "mine: arena_bytes = 1");
  says(refused([](NodeConfig& c) {
         c.device_options = {{"checked", "1"}, {"grace", "1"}, {"checked", "0"}};
       }),
       "mine: device_options: the option \"checked\" is there twice");
  says(refused([](NodeConfig& c) { c.name = "a/b"; }), "\"a/b\" has a / in its name");
  says(refused([](NodeConfig& c) { c.name = ""; }), "has no name");

  const auto pod = [&](const PodConfig& config) { return error_of([&] { (void)system.pod(config); }); };
  says(pod({.name = "pod0"}), "pod0: nodes is empty");
  says(pod({.name = "pod0", .nodes = {node("one"), node("one")}}),
       "pod0: nodes: the name \"one\" is there twice");
  says(pod({.name = "pod0", .nodes = {node("one"), node("")}}), "has no name");
  says(pod({.name = "pod0", .nodes = {node("one/two")}}), "has a / in its name");
  says(pod({.name = "", .nodes = {node("one")}}), "a pod has no name");
  const auto worker = to_worker(node("one"));
  says(pod({.name = "pod0", .nodes = {node("one")}, .workers = {worker}}), "is there twice");
  actors::WorkerConfig above;
  above.executors = {worker, worker};
  says(error_of([&] { (void)system.worker(std::make_shared<const actors::WorkerConfig>(above)); }),
       "executors: the name \"one\" is there twice");
  says(error_of([&] {
         (void)kit.node().add_executor(actors::ChipConfig{.options = {{"a", "1"}, {"a", "1"}}});
       }),
       "options: the option \"a\" is there twice");
  CHECK(system.actors() == 0);
}

TEST_CASE("what is asked of a node after its system has ended is shut_down, whatever was asked") {
  std::optional<System> system(SystemConfig{.threads = 2});
  const auto node = system->node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  const auto chip = node.chip(0);
  const auto host = node.tensor<float>({4});
  system.reset();
  CHECK(error_of([&] { node.run("nix"); }).value() == Errc::shut_down);
  CHECK(error_of([&] { (void)node.submit("nix"); }).value() == Errc::shut_down);
  CHECK(error_of([&] { node.load(this_module()); }).value() == Errc::shut_down);
  CHECK(error_of([&] { node.add_kernel("nix"); }).value() == Errc::shut_down);
  CHECK(error_of([&] { chip.copy_to(host, host); }).value() == Errc::shut_down);
}

TEST_CASE("sentences that named numbers of troupe's own name what the user has") {
  Simulation sim({.chips = 1});
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  node.run([&](Orchestrator& program) {
    Tensor inner;
    {
      const auto scope = program.scope();
      inner = program.alloc<float>({4});
      program.submit("step", out(inner));
    }
    const auto gone = error_of([&] { (void)program.read<float>(inner).get(); });
    says(gone, "a read of f32[4]");
    says(gone, "whose scope, or last handle, has ended");
    CHECK(render(*gone).find("argument 0") == std::string::npos);
    says(error_of([&] { program.submit("step", deadline(-std::chrono::hours(10'000'000))); }), "over before");
    program.submit("step", deadline(std::chrono::hours(10'000'000)));
  });
}
