#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tasks/tasks.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// A kernel, packed with its signature, or one that an orchestration brings along under a number.
struct PackedKernel {
  std::int32_t number = 0;
  std::span<const std::byte> object;
};

/// Code as bytes, in any of the forms in which it comes: an object as it is, a packed kernel ("core
/// callable"), a packed orchestration with its kernels ("chip callable"). Borrows the bytes.
struct PackedCallable {
  enum class Form : std::uint8_t { object, kernel, orchestration };
  Form form = Form::object;
  std::span<const std::byte> object;
  std::string entry, config;             ///< names of functions; empty: the usual ones
  std::vector<std::uint8_t> directions;  ///< 0 scalar, 1 in, 2 out, 3 inout
  std::vector<PackedKernel> kernels;     ///< sorted by number, which are different
  std::optional<RingSizes> rings;        ///< behind everything else
};

/// Bytes that begin like no form are an object: what loads it says what is wrong. Any other defect is an
/// error in words.
[[nodiscard]] Result<PackedCallable> unpack_callable(std::span<const std::byte> bytes);

}  // namespace troupe::platform::sim
