// What a tensor looks like in a log, wherever its bytes are.
#include <doctest/doctest.h>

#include <numeric>
#include <sstream>

#include "troupe/testing.hpp"

using namespace troupe;

namespace {

std::string text(const Tensor& tensor) {
  std::ostringstream out;
  out.precision(1);  // what the stream is set to does not matter
  out << tensor;
  return out.str();
}

template <class T>
Tensor counted(const Node& node, const Shape& shape) {
  const auto x = node.tensor<T>(shape);
  const auto values = x.template host<T>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(static_cast<float>(i));
  return x;
}

}  // namespace

TEST_CASE("a tensor prints its type, its shape and its elements, of long ones the ends") {
  testing::Simulation simulation;
  const auto& node = simulation.node();
  CHECK(text(counted<float>(node, {2, 3})) == "f32[2, 3] [[0, 1, 2], [3, 4, 5]]");
  CHECK(text(counted<float>(node, {1000})) == "f32[1000] [0, 1, 2, …, 997, 998, 999]");
  CHECK(text(counted<std::int32_t>(node, {100, 10})) ==
        "i32[100, 10] [[0, 1, 2, …, 7, 8, 9], [10, 11, 12, …, 17, 18, 19], …, "
        "[980, 981, 982, …, 987, 988, 989], [990, 991, 992, …, 997, 998, 999]]");
  CHECK(text(counted<std::int8_t>(node, {3})) == "i8[3] [0, 1, 2]");
  CHECK(text(counted<std::uint64_t>(node, {1})) == "u64[1] [0]");
  CHECK(text(counted<runtime::Float16>(node, {2})) == "f16[2] [0, 1]");
  CHECK(text(counted<runtime::BFloat16>(node, {2})) == "bf16[2] [0, 1]");
  CHECK(text(counted<double>(node, {2})) == "f64[2] [0, 1]");
  CHECK(text(counted<bool>(node, {2})) == "bool[2] [false, true]");
  CHECK(text(node.tensor<float>({1}, 1.0F / 3)) == "f32[1] [0.333333]");
  CHECK(text(counted<float>(node, {3, 3, 3, 3, 3})).size() < 600);
  CHECK(text(Tensor()) == "no tensor");
  CHECK(text(node.tensor<float>({0})) == "f32[0] without elements");
}

TEST_CASE("a view prints its own elements") {
  testing::Simulation simulation;
  const auto x = counted<float>(simulation.node(), {3, 4});
  CHECK(text(x.rows(1, 2)) == "f32[1, 4] [[4, 5, 6, 7]]");
  CHECK(text(x.transpose().rows(0, 1)) == "f32[1, 3] [[0, 4, 8]]");
  float mine[] = {1, 2};
  CHECK(text(runtime::Tensor::host(mine, {2})) == "f32[2] [1, 2]");
}

TEST_CASE("a tensor whose bytes are not at home says where they are, and printing brings nothing") {
  testing::Simulation simulation;
  simulation.kernel("add_one", [](auto&) {});
  auto& node = simulation.node();
  const auto x = node.tensor<float>({4}, 1.0F);
  std::string intermediate;
  node.run([&](Orchestrator& n) {
    n.submit("add_one", inout(x));
    const auto y = n.alloc<float>({4});
    n.submit("add_one", out(y));
    intermediate = text(y);
  });
  CHECK(intermediate == "f32[4] (an intermediate of a program; node.read_all(x) has its elements)");
  CHECK(text(x) == "f32[4] (its newest bytes are on a chip of node0; x.host<const T>() brings them)");
  CHECK(x.host<const float>().size() == 4);
  CHECK(text(x).starts_with("f32[4] [1, 1, 1, 1]"));
  const auto device = node.chip(0).malloc<float>({4});
  CHECK(text(device) == "f32[4] (in the memory of a chip; node.read_all(x) has its elements)");
}
