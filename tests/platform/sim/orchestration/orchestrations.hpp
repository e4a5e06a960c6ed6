#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "support/packed_callable.hpp"

namespace troupe::test {

/// One of this folder's objects, or a foreign kernel.
inline std::vector<char> object_file(const std::string& name) {
  if (const auto kernel = Chip::object_bytes(name); !kernel.empty()) return kernel;
  std::ifstream file(tests::built("tests/platform/sim/orchestration/objects/" + name + ".so"),
                     std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every object is built for both runtimes.
inline constexpr const char* runtimes[] = {"tmr", "hbg"};

/// A chip that runs orchestrations of the other system.
struct Orchestrations : Chip {
  using Chip::Chip;

  std::uint64_t add_bytes(const std::string& name, const std::vector<char>& bytes) {
    return try_bytes(name, bytes).value();
  }
  Result<std::uint64_t> try_bytes(const std::string& name, const std::vector<char>& bytes) {
    troupe_callable callable{};
    callable.name = name.c_str();
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = TROUPE_CORE_AIV;
    return context.register_callable(callable);
  }
  /// Packed with kernels of these numbers.
  std::uint64_t add_packed(const std::string& name, const std::string& runtime,
                           const std::vector<std::pair<std::int32_t, std::string>>& kernels,
                           const std::vector<std::int32_t>& signature = {}) {
    std::vector<tests::PackedChild> children;
    for (const auto& [number, kernel] : kernels)
      children.push_back({number, tests::pack_kernel(object_file(kernel), {})});
    return add_bytes(name, tests::pack_orchestration(object_file(name + "_" + runtime),
                                                     "aicpu_orchestration_entry", signature, children));
  }
};

}  // namespace troupe::test
