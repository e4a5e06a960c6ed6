// A small layered network, run token by token: the same graph each time. It is submitted anew, and as a plan
// that was recorded with the first token; both give the same.
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

namespace {

/// One token: through all layers, and into the state. `weights` are captured by the plan, the rest is given.
void decode(Orchestrator& node, const std::vector<Tensor>& weights, Tensor token, Tensor state,
            Slot<float> keep) {
  auto x = token;
  for (const auto& layer : weights) {
    auto next = node.alloc<float>(token.shape());
    node.submit("decode_layer", in(layer), in(x), out(next));
    x = next;
  }
  node.submit("decode_remember", in(x), inout(state), scalar(keep));
}

double microseconds() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void decode_loop(Orchestrator& node, std::uint32_t layers, std::uint32_t width, std::uint32_t tokens) {
  apps::require(layers > 0 && width > 0 && tokens > 0,
                "a network has a layer, a width, and something to decode",
                "--param layers=8 --param width=16 --param tokens=100");
  std::vector<Tensor> weights;
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    weights.push_back(node.tensor<float>({width, width}));
    auto elements = weights.back().host<float>();
    for (std::size_t i = 0; i < elements.size(); ++i)
      elements[i] = std::sin(static_cast<float>(i + layer)) / static_cast<float>(width);
  }
  auto token = node.tensor<float>({width}, 0.5f);
  auto fresh = node.tensor<float>({width}), replayed = node.tensor<float>({width});
  const auto keep_of = [](std::uint32_t t) { return t % 2 == 0 ? 0.5f : 0.25f; };

  const auto begin = microseconds();
  for (std::uint32_t t = 0; t < tokens; ++t) decode(node, weights, token, fresh, keep_of(t));
  node.drain();
  const auto fresh_end = microseconds();

  const auto step = [&weights](Orchestrator& n, Tensor x, Tensor state, Slot<float> keep) {
    decode(n, weights, x, state, keep);
  };
  const auto plan = node.record(name("decode"), step, token, replayed, keep_of(0));  // runs the first token
  node.drain();
  const auto recorded = microseconds();
  for (std::uint32_t t = 1; t < tokens; ++t) node.submit(plan, in(token), inout(replayed), keep_of(t));
  node.drain();
  const auto end = microseconds();

  const auto a = node.read_all<float>(fresh).get(), b = node.read_all<float>(replayed).get();
  apps::expect(a == b, "the plan gives what the program gives");
  apps::expect(plan.tasks() == layers + 1, "the plan has the tasks of one token");
  if (tokens > 1) {
    std::printf("decode_loop: a token takes %.1f us submitted anew, %.1f us as a plan\n",
                (fresh_end - begin) / tokens, (end - recorded) / (tokens - 1));
  }
}
TROUPE_PROGRAM(decode_loop);
