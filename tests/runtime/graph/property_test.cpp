#include <doctest/doctest.h>

#include "runtime/graph/program.hpp"
#include "support/random.hpp"

namespace {

using namespace troupe::test;

// Takes operations out as long as it still goes wrong.
Program shrink(Program program, std::uint64_t schedule) {
  program.never_stuck = false;  // what is taken out changes how much memory is enough
  if (run_program(program, schedule).empty()) return program;
  for (std::size_t size = program.ops.size() / 2; size > 0; size /= 2) {
    for (std::size_t at = 0; at + size <= program.ops.size();) {
      Program smaller = program;
      const auto first = smaller.ops.begin() + static_cast<std::ptrdiff_t>(at);
      smaller.ops.erase(first, first + static_cast<std::ptrdiff_t>(size));
      if (run_program(smaller, schedule).empty()) {
        at += size;
      } else {
        program = std::move(smaller);
      }
    }
  }
  return program;
}

TEST_CASE(
    "any legal order of a random program leaves the memory as running its submits one after the other") {
  const std::uint64_t first = first_seed(), count = seeds(1500);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Program program = make_program(seed);
    const std::string complaint = run_program(program, seed * 7919);
    if (complaint.empty()) continue;
    const Program smaller = shrink(program, seed * 7919);
    FAIL("seed " << seed << ": " << complaint << "\nreplay: TROUPE_SEED=" << seed
                 << " troupe_runtime_tests -tc='any legal order*'\nsmallest program that still fails ("
                 << run_program(smaller, seed * 7919) << "):\n"
                 << to_string(smaller));
  }
}

TEST_CASE("a graph that is started again is as a new one, whatever ran in it before") {
  troupe::runtime::TaskGraph graph;
  const std::uint64_t first = first_seed(), count = seeds(500);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const std::string complaint = run_program(make_program(seed), seed * 7919, graph);
    if (!complaint.empty())
      FAIL("seed " << seed << ", in a graph that ran the programs from " << first << " on: " << complaint);
    // Also from the middle of a program.
    graph.restart({.arena_bytes = {4096, 0, 0, 0}});
    const troupe::runtime::BufferRef memory{1, 0, 4096};
    for (const auto tag : {troupe::runtime::Tag::out, troupe::runtime::Tag::in}) {
      const auto access = troupe::runtime::Access::whole(memory, 64, tag);
      troupe::runtime::TaskSpec spec;
      spec.accesses = {&access, 1};
      REQUIRE(graph.submit(spec).has_value());
    }
    REQUIRE(graph.alloc(64).has_value());
    REQUIRE(graph.status().ready == 1);
    REQUIRE(graph.live() == 2);
    if (seed % 2 == 0) graph.cancel_all(troupe::Error(troupe::runtime::Errc::cancelled, "no more"));
  }
}

}  // namespace
