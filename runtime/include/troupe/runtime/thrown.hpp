#pragma once

// What was thrown, in words, for messages that must not end in "std::bad_alloc". Pure functions, safe on any
// thread, also when there is no more memory; no errors.

#include <exception>
#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// What the exception says; of memory that could not be had, with the limit that this process has.
[[nodiscard]] TROUPE_API std::string text_of(const std::exception& thrown) noexcept;
/// Of what is thrown now, or was kept.
[[nodiscard]] TROUPE_API std::string text_of(const std::exception_ptr& thrown) noexcept;

}  // namespace troupe::runtime
