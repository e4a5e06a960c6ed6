#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "troupe/comm/errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/runtime/error.hpp"

namespace troupe::comm {

/// An error of the operating system, as ours: `what` says what was being done. A limit of this process that
/// explains it is the hint; `hint` is where none does, and of threads (EAGAIN).
inline Error system_error(const std::string& what, int number, std::string hint = {}) {
  if (number != EAGAIN || hint.empty()) {
    if (auto limit = limit_hint(number); !limit.empty()) hint = std::move(limit);
  }
  const bool memory = number == ENOMEM || number == ENOSPC || number == EFBIG;
  return Error(memory ? Errc::no_memory : Errc::system, what + ": " + std::generic_category().message(number),
               std::move(hint));
}

}  // namespace troupe::comm
