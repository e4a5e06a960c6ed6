// Kernels and a program that tests of plans record: five tasks with two intermediates and a number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/testing.hpp"

namespace troupe::test {

inline constexpr std::uint32_t size = 8;

inline testing::Simulation& with_kernels(testing::Simulation& sim) {
  sim.kernel("scale", [](auto& call) {
    const auto by = call.template scalar<float>(0);
    for (auto& element : call.template tensor<float>(0)) element *= by;
  });
  sim.kernel("add", [](auto& call) {
    const auto a = call.template tensor<const float>(0), b = call.template tensor<const float>(1);
    auto c = call.template tensor<float>(2);
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
  });
  sim.kernel("set", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element = call.template scalar<float>(0);
  });
  return sim;
}

/// y = (x + x) * r, the first half of it twice that.
inline void layer(Orchestrator& node, Tensor x, Tensor y, Slot<float> r) {
  auto sum = node.alloc<float>({size});
  node.submit("add", in(x), in(x), out(sum));
  node.submit("scale", inout(sum), scalar(r));
  auto zero = node.alloc<float>({size});
  node.submit("set", out(zero), scalar(0.0f));
  node.submit("add", in(sum), in(zero), out(y));
  node.submit("scale", inout(y.rows(0, size / 2)), scalar(2.0f));
}

/// What `layer` leaves in an element of y.
inline float expected(float x, float r, std::size_t i) { return (x + x) * r * (i < size / 2 ? 2.0f : 1.0f); }

inline bool holds(const Tensor& y, float x, float r) {
  const auto view = y.host<const float>();
  for (std::size_t i = 0; i < size; ++i) {
    if (view[i] != expected(x, r, i)) return false;
  }
  return true;
}

}  // namespace troupe::test
