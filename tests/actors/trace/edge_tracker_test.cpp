#include "trace/edge_tracker.hpp"

#include <doctest/doctest.h>

#include <string>

#include "run/state.hpp"
#include "tasks.hpp"

namespace {

using namespace troupe;
using namespace troupe::actors;
using runtime::Tensor;

struct Edges {
  EdgeTracker tracker;
  TaskId next = 0;

  /// Submits the next task (1, 2, …) and says its edges: "1raw 2war".
  std::string operator()(std::initializer_list<Operand> args) {
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

TEST_CASE("tensors made in different ways over the same memory depend on each other") {
  float memory[64] = {};
  const Tensor whole = Tensor::host(memory, {64}), tail = Tensor::host(memory + 48, {16}),
               head = Tensor::host(memory, {16}), middle = Tensor::host(memory + 8, {48});
  Edges edges;
  CHECK(edges({runtime::out(tail)}).empty());
  CHECK(edges({runtime::out(head)}).empty());
  CHECK(edges({runtime::inout(middle)}) == "1raw 2raw");  // joins what was apart
  CHECK(edges({runtime::in(head)}) == "2raw 3raw");
  CHECK(edges({runtime::out(whole)}) == "1waw 2waw 3waw 4war");
  CHECK(edges({runtime::in(tail)}) == "5raw");
}

TEST_CASE("intermediates are told apart by their numbers, whatever their size") {
  for (const std::uint32_t arena : {program_arena, runtime::TaskGraphConfig{}.intermediate_arena}) {
    CAPTURE(arena);
    const auto intermediate = [&](std::uint64_t number) {
      return Tensor::create(runtime::BufferRef{arena, 1, number}, 256, 0, {64}, runtime::DType::f32).value();
    };
    Edges edges;
    CHECK(edges({runtime::out(intermediate(1))}).empty());
    CHECK(edges({runtime::out(intermediate(2))}).empty());
    CHECK(edges({runtime::in(intermediate(1))}) == "1raw");
  }
}

}  // namespace
