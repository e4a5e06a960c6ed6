#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/graph/program.hpp"

// What a program has to do: its submits one after the other.
namespace troupe::test {

enum class Outcome : std::uint8_t { open, done, failed, poisoned, cancelled };
struct TaskResult {
  bool submitted = false;
  Outcome outcome = Outcome::open;
};

using Memory = std::vector<std::uint64_t>;  // one word stands for one byte

inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30U) * 0xBF58'476D'1CE4'E5B9ULL;
  x = (x ^ x >> 27U) * 0x94D0'49BB'1331'11EBULL;
  return x ^ x >> 31U;
}

// What a task does to memory: its outputs are a hash of all its inputs, so wrong bytes show for ever after.
// `at(use, byte)` is the place of a byte of a buffer.
template <class At>
void execute(const Op& op, Memory& memory, At at) {
  std::uint64_t hash = op.id + 1;
  for (const Use& use : op.uses) {
    if (!reads(use.tag)) continue;
    for (const std::uint32_t byte : use.view.bytes()) hash = mix(hash ^ memory[at(use, byte)]);
  }
  for (std::size_t u = 0; u < op.uses.size(); ++u) {
    if (!writes(op.uses[u].tag)) continue;
    for (const std::uint32_t byte : op.uses[u].view.bytes()) {
      memory[at(op.uses[u], byte)] = mix(hash ^ byte * 64 ^ u);
    }
  }
}

// Runs the program one task after the other, with the outcomes of another run: who did not run leaves its
// bytes undefined. Empty when those outcomes are right and `memory` (of the externals) has all defined bytes.
std::string check_against_oracle(const Program& program, const std::vector<TaskResult>& results,
                                 const Memory& memory);

}  // namespace troupe::test
