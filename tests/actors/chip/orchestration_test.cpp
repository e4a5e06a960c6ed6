// Orchestrations and kernels of another system, as callables of a node.
#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/packed_callable.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

namespace {

std::vector<char> object(const std::string& name) {
  std::ifstream file(tests::built("tests/platform/sim/orchestration/objects/" + name + ".so"),
                     std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!bytes.empty());
  return bytes;
}
std::vector<std::uint8_t> unsigned_bytes(const std::vector<char>& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Of two runs in a row on this node, so that the second follows the first's result.
float answer(const Node& node) {
  auto x = node.tensor<float>({8}, 3.0F), y = node.tensor<float>({8}), z = node.tensor<float>({8});
  node.run([&](Orchestrator& program) {
    program.submit("chain", in(x), out(y), scalar(0.5F));
    program.submit("chain", in(y), out(z), scalar(0.5F));
  });
  return z.host<const float>()[7];
}
constexpr float expected = 10.0F * (2.0F * 70.5F + 1.0F) + 0.5F;

}  // namespace

TEST_CASE("a packed orchestration is a callable like any other, on every chip of a node") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 2});
  const auto kernel = tests::pack_kernel(object("linear"), {1, 2, 0, 0});
  node.add_kernel("chain",
                  unsigned_bytes(tests::pack_orchestration(object("chain_hbg"), "aicpu_orchestration_entry",
                                                           {1, 2, 0}, {{0, kernel}, {7, kernel}})));
  CHECK(answer(node) == expected);
  node.chip(0).reset();
  CHECK(answer(node) == expected);
}

TEST_CASE("an orchestration names kernels that its node knows by their numbers") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.add_kernel("chain", unsigned_bytes(object("chain_tmr")));
  node.add_kernel("0", unsigned_bytes(object("linear")));
  CHECK(test::error_of([&] { (void)answer(node); }));  // nobody knows 7 yet
  node.add_kernel("7", unsigned_bytes(tests::pack_kernel(object("linear"), {})));
  CHECK(answer(node) == expected);
  node.chip(0).reset();
  CHECK(answer(node) == expected);
}
