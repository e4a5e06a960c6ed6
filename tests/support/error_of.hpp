#pragma once

#include <functional>
#include <optional>

#include "troupe/runtime/error.hpp"

namespace troupe::test {

/// The error that a call throws, if it does.
inline std::optional<Error> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace troupe::test
