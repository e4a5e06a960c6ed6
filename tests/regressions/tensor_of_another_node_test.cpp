// A tensor in a chip's memory named only the chip's number: another node took it for memory of its own chip
// of that number, a pod for its own node of that number.
//
// Nodes are numbered in their system, and so are runs: a tensor on a chip of one System was taken for memory
// of a chip of another one, an intermediate for one of another program. And a buffer that run 1 of one System
// kept was not kept by run 1 of the other.
//
// Promised now (until data moves by itself): it is recognised and refused, with a sentence.
#include <doctest/doctest.h>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;

TROUPE_KERNEL(regression_touch)(KernelArgs& k) { k.tensor<float>(0)[0] = 1.0F; }

namespace {

NodeConfig one_chip(const char* name) {
  return {.name = name, .platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1};
}

void is_refused(const std::optional<Error>& error) {
  REQUIRE(error);
  CHECK(error->root() == Errc::bad_argument);
  CHECK_MESSAGE(error->message().find("chip of another node") != std::string::npos, error->message());
}

}  // namespace

TEST_CASE("a tensor on a chip of another node is refused where it is submitted") {
  System system;
  auto here = system.node(one_chip("here"));
  auto there = system.node(one_chip("there"));
  here.load(this_module());
  there.load(this_module());
  auto mine = here.chip(0).malloc<float>({1});
  auto touch = [&](Orchestrator& program) { program.submit("regression_touch", out_existing(mine)); };
  here.run(touch);
  is_refused(test::error_of([&] { there.run(touch); }));
  const auto copied = test::error_of([&] { there.chip(0).copy_to(mine, there.tensor<float>({1})); });
  REQUIRE(copied);
  CHECK(copied->message() == "the device tensor does not live on chip 0 of there");
}

TEST_CASE("a pod does not take a chip's tensor for one of its nodes") {
  System system;
  auto alone = system.node(one_chip("alone"));
  PodConfig config;
  config.nodes = {one_chip("node0"), one_chip("node1")};
  auto pod = system.pod(config);
  pod.load(this_module());
  auto mine = alone.chip(0).malloc<float>({1});
  is_refused(test::error_of([&] {
    pod.run([&](Orchestrator& program) {
      program.submit(
          +[](Orchestrator& node, Tensor x) { node.submit("regression_touch", out_existing(x)); },
          out_existing(mine));
    });
  }));
}

TEST_CASE("a tensor of another System is refused where it is used, whatever its number means there") {
  System first, second;
  auto here = first.node(one_chip("here"));
  auto there = second.node(one_chip("there"));
  here.load(this_module());
  there.load(this_module());
  auto mine = here.chip(0).malloc<float>({1});
  auto theirs = there.chip(0).malloc<float>({1});
  auto touch = [](Orchestrator& program, Tensor x) { program.submit("regression_touch", out_existing(x)); };
  here.run(touch, mine);
  const auto error = test::error_of([&] { there.run(touch, mine); });
  REQUIRE(error);
  CHECK(error->root() == Errc::wrong_program);
  CHECK_MESSAGE(error->message().find("tensor argument 0 is of another System") != std::string::npos,
                error->message());
  CHECK(test::error_of([&] { there.chip(0).copy_to(mine, there.tensor<float>({1})); }));
  const auto both = test::error_of([&] {
    there.run(
        [&](Orchestrator& program) { program.submit("regression_touch", out_existing(theirs), in(mine)); });
  });
  REQUIRE(both);
  CHECK(both->message().find("tensor argument 1 is of another System") != std::string::npos);

  Tensor made;
  here.run([&](Orchestrator& program) {
    made = program.alloc<float>({1});
    program.submit("regression_touch", out(made));
  });
  const auto intermediate = test::error_of([&] {
    there.run([&](Orchestrator& program) {
      auto own = program.alloc<float>({1});
      program.submit("regression_touch", out(own));
      (void)program.read<float>(made).get();
    });
  });
  REQUIRE(intermediate);
  CHECK(intermediate->root() == Errc::wrong_program);
}

TEST_CASE("a domain of another System is refused where it is used") {
  System first, second;
  auto here = first.node(one_chip("here"));
  auto there = second.node(one_chip("there"));
  here.load(this_module());
  there.load(this_module());
  here.run([&](Orchestrator& program) {
    DomainSpec spec;
    spec.chips = {0};
    spec.buffers = {{"all", 64}};
    const auto domain = program.allocate_domain(spec).get();
    program.submit("regression_touch", out_existing(domain.rank(0).buffer("all")));
    program.drain();
    CHECK(test::error_of([&] {
      there.run([&](Orchestrator& other) {
        other.submit("regression_touch", out_existing(domain.rank(0).buffer("all")));
      });
    }));
    CHECK(test::error_of([&] {
      there.run([&](Orchestrator& other) {
        auto x = other.tensor<float>({1});
        other.submit("regression_touch", inout(x), domain.rank(0).context());
      });
    }));
    CHECK(test::error_of([&] { there.run([&](Orchestrator& other) { other.barrier(domain, 0).wait(); }); }));
  });
}

namespace {

class Watched final : public actors::BufferHold {
 public:
  explicit Watched(bool& alive) : alive_(alive) { alive_ = true; }
  ~Watched() override { alive_ = false; }

 private:
  bool& alive_;
};

}  // namespace

TEST_CASE("runs of two Systems that have the same number each keep a buffer they share") {
  testing::Simulation first({.chips = 1}), second({.chips = 1});
  second.kernel("wait", [](auto& call) { call.waits(); });
  first.kernel("step", [](auto&) {});
  float memory = 0;
  bool alive = false;
  Tensor x(runtime::Tensor::host(&memory, {1}), std::make_shared<Watched>(alive));
  first.node().run([](Orchestrator& n, Tensor y) { n.submit("step", inout(y)); }, x);
  auto run = second.node().submit([&x](Orchestrator& n) {
    n.submit("wait", inout(x));
    x = {};
  });
  while (second.steps(1000) > 0) {
  }
  CHECK_FALSE(run.done());
  CHECK(alive);
  run.cancel();
  CHECK(run.result().error() == Errc::cancelled);
  CHECK_FALSE(alive);
}
