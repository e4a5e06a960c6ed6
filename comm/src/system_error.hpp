#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "troupe/comm/errc.hpp"
#include "troupe/runtime/error.hpp"

namespace troupe::comm {

/// An error of the operating system, as ours: `what` says what was being done.
inline Error system_error(const std::string& what, int number, std::string hint = {}) {
  const bool memory = number == ENOMEM || number == ENOSPC || number == EFBIG;
  return Error(memory ? Errc::no_memory : Errc::system, what + ": " + std::generic_category().message(number),
               std::move(hint));
}

}  // namespace troupe::comm
