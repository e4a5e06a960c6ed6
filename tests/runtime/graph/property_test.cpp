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

}  // namespace
