// A kernel wrote one byte past a tensor whose size is a multiple of 4096: the copy of the argument ended in a
// guard page then, and the process died without a word; for other sizes the byte fell into the rest of the
// page and nobody looked. A checked chip promises an error that names task, kernel, argument, chip and how
// far, for tensors of any size, and goes on.
#include <doctest/doctest.h>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

TROUPE_KERNEL(regression_writes_past)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  volatile float* first = x.data();
  for (std::size_t i = 0; i <= x.size(); ++i) first[i] = 1.0F;
}

TEST_CASE("a kernel that writes past the end of a tensor fails by name on a checked chip") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"),
                           .chips = 2,
                           .device_options = {{"checked", "1"}}});
  node.load(this_module());
  for (const std::uint32_t size : {1u, 1023u, 1024u, 262'145u}) {
    CAPTURE(size);
    auto x = node.tensor<float>({size}, 0.0F);
    const auto error = test::error_of([&] {
      node.run([&](Orchestrator& program) {
        program.submit("regression_writes_past", inout(x), on_chip(1), name("the third step"));
      });
    });
    REQUIRE(error);
    const std::string text = render(*error);
    CAPTURE(text);
    CHECK(text.find("the third step") != std::string::npos);
    CHECK(text.find("node0/chip1") != std::string::npos);
    CHECK(
        text.find("kernel 'regression_writes_past' wrote past the end of tensor 0: bytes 1 to 4 behind it") !=
        std::string::npos);
    CHECK(test::error_of([&] { (void)x.host<const float>(); }));
  }
}

// Buffers of a domain lay side by side in its windows: one byte past the first was the first byte of the
// second.
TEST_CASE("a kernel that writes past a buffer of a domain fails by name on a checked chip") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"),
                           .chips = 2,
                           .device_options = {{"checked", "1"}}});
  node.load(this_module());
  const auto error = test::error_of([&] {
    node.run([](Orchestrator& program) {
      DomainSpec spec;
      spec.chips = chips(0, 1);
      spec.buffers = {{"first", 64}, {"second", 64}};
      auto domain = program.allocate_domain(spec).get();
      program.submit_group("regression_writes_past", domain.each([](auto& rank) {
        return args(inout(rank.template buffer<float>("first")));
      }));
      program.drain();
    });
  });
  REQUIRE(error);
  CHECK(error->message().find(
            "kernel 'regression_writes_past', or one of a peer, wrote past the end of tensor 0: "
            "bytes 1 to 4 behind it") != std::string::npos);
}
