#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/runtime/error.hpp"

namespace troupe::actors {

/// `what` ("the trace to \"x.json\"") could not be written. `problem`: the errno of the call that failed; 0:
/// a stream that does not say why.
inline Error cannot_write(const std::string& what, int problem) {
  const auto limit = comm::limit_hint(problem);
  return {Errc::cannot_write,
          "cannot write " + what + ": " +
              (problem != 0 ? std::generic_category().message(problem) : "write failed"),
          problem == ENOSPC ? "the disk is full"
          : limit.empty()   ? "does the folder exist, and may you write there?"
                            : limit};
}

}  // namespace troupe::actors
