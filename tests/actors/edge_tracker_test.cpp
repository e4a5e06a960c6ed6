#include "edge_tracker.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

using namespace troupe;
using namespace troupe::actors;
using runtime::Tensor;

struct Edges {
  EdgeTracker tracker;
  TaskId next = 0;

  /// Submits the next task (1, 2, …) and says its edges: "1raw 2war".
  std::string operator()(std::initializer_list<runtime::TensorArg> args) {
    std::vector<TraceEdge> found;
    tracker.submit(++next, {args.begin(), args.size()}, found);
    std::string text;
    for (const auto& edge : found) {
      CHECK(edge.to == next);
      text += (text.empty() ? "" : " ") + std::to_string(edge.from) + name_of(edge.kind);
    }
    return text;
  }
};

TEST_CASE("edges of a traced program are those of its tags and views") {
  float memory[64] = {}, other[64] = {};
  const Tensor x = Tensor::host(memory, {8, 8}), y = Tensor::host(other, {8, 8});
  Edges edges;
  CHECK(edges({runtime::out(x.rows(0, 4))}).empty());
  CHECK(edges({runtime::out(x.rows(4, 8))}).empty());
  CHECK(edges({runtime::in(x), runtime::out(y)}) == "1raw 2raw");
  CHECK(edges({runtime::in(x.rows(0, 2))}) == "1raw");
  CHECK(edges({runtime::out(x)}) == "1waw 2waw 3war 4war");
  CHECK(edges({runtime::inout(x.rows(0, 1))}) == "5raw");
  CHECK(edges({runtime::in(x)}) == "5raw 6raw");
  CHECK(edges({runtime::no_dep(x)}).empty());
  CHECK(edges({runtime::in(y)}) == "3raw");
}

}  // namespace
