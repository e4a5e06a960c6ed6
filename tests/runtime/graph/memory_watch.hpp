#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "runtime/graph/oracle.hpp"
#include "runtime/graph/program.hpp"

namespace troupe::test {

/// The bytes that one running task uses.
struct Footprint {
  std::vector<std::size_t> read, written;
};

/// The memory of a pretended machine, and who uses which byte of it right now: no byte is written while
/// another running task uses it.
class MemoryWatch {
 public:
  explicit MemoryWatch(std::size_t bytes) : memory_(bytes, 0), reading_(bytes, 0), writing_(bytes, 0) {}

  Memory& values() { return memory_; }

  /// A task starts. Answers what is wrong with that, or nothing.
  std::string begin(Footprint& use) {
    for (auto* places : {&use.read, &use.written}) {
      std::sort(places->begin(), places->end());
      places->erase(std::unique(places->begin(), places->end()), places->end());
    }
    for (const std::size_t p : use.written) {
      if (reading_[p] != 0 || writing_[p] != 0) return "writes what is in use";
    }
    for (const std::size_t p : use.read) {
      if (writing_[p] != 0) return "reads what is being written";
    }
    for (const std::size_t p : use.written) ++writing_[p];
    for (const std::size_t p : use.read) ++reading_[p];
    return {};
  }

  void end(const Footprint& use) {
    for (const std::size_t p : use.written) --writing_[p];
    for (const std::size_t p : use.read) --reading_[p];
  }

 private:
  Memory memory_;
  std::vector<int> reading_, writing_;
};

}  // namespace troupe::test
