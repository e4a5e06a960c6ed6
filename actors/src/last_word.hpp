#pragma once

#include <memory>

#include <caf/all.hpp>

#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// What the end of an executor is told with: when the last device that it, or an executor below it, had has
/// been closed, because until then the device may write what its tasks write. Kept by whoever closes one, and
/// by the last words of those below.
struct LastWord {
  ResultSink to;
  Results word;
  std::shared_ptr<const void> above;  ///< of the worker, which is to come later
  LastWord() = default;
  LastWord(const LastWord&) = delete;
  LastWord& operator=(const LastWord&) = delete;
  ~LastWord() {
    if (to) caf::anon_send(to, std::move(word));
  }
};

}  // namespace troupe::actors
