#pragma once

#include <memory>
#include <string>

#include "meeting/member.hpp"

namespace troupe::comm {

/// A meeting over sockets, and the watch over the peers afterwards. The rank that takes the name first is the
/// hub; the connections of the meeting stay open, and the end of one is the death of its rank.
class Session {
 public:
  Session(MeetingTerms terms, std::string meeting, const Environment& environment);
  ~Session();  ///< closes
  Session(Session&&) = delete;

  /// Blocks the caller, which also does the work. Once. Errors: see Communicator::alloc_windows.
  Result<void> meet(Deadline until);
  /// Ends meet() or, afterwards, the epoch. Any thread.
  void abort() noexcept;
  /// The committed domain; valid after meet().
  DomainMember& domain() noexcept;
  /// Stops watching, releases the domain, hangs up. Idempotent; no wait may be in progress.
  void close() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::comm
