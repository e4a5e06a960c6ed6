#pragma once

// What this floor needs from the machine. Calls come from any thread, also at once. Callers keep an
// Environment alive as long as anything that was made with it; machine() lives for ever.
// Errors: create_memory() returns a Result (no_memory, system), nothing else fails.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// A point on the steady clock after which a wait gives up. `never` waits until the peer comes or dies.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline never = Deadline::max();

/// The services of the machine that the comm floor uses: a clock, parking of threads, and shareable memory.
/// Tests hand in a fake to script time, park and memory; all other code takes `Environment::machine()`.
///
/// Implementations are stateless or thread-safe: every thread of a domain calls in.
class TROUPE_API Environment {
 public:
  virtual ~Environment();

  virtual Deadline now() const;

  /// Sleeps while `word == expected`, at most until `until`. May return early. The word may lie in memory
  /// shared between processes.
  virtual void park(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline until) const;
  /// Wakes every thread that parks on `word`, in every process.
  virtual void wake_all(const std::atomic<std::uint32_t>& word) const;
  /// Lets other threads of this machine run.
  virtual void yield() const;

  /// Processors the calling thread may use, one bit each. The union over all ranks decides whether spinning
  /// makes sense.
  using ProcessorSet = std::array<std::uint64_t, 16>;
  virtual ProcessorSet processors() const;

  /// A memfd of exactly `bytes` zeroed bytes, sealed against resizing, its memory already reserved, so that
  /// touching it later cannot fail. Errors: no_memory, system.
  virtual Result<FileDescriptor> create_memory(std::string_view name, std::uint64_t bytes) const;

  /// The real machine. Stateless.
  static const Environment& machine() noexcept;
};

}  // namespace troupe::comm
