#pragma once

// Blocking sessions for rank programs. A Communicator owns its windows, sockets and the one thread that
// watches for deaths; its destructor waits for no other rank. One thread at a time per communicator, except
// abort(). alloc_windows, barrier and destroy are collective.
// Errors are Results and name the rank they come from; those of CommSessions are codes, with the Error in
// last_error().

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "troupe/comm/domain.hpp"
#include "troupe/comm/environment.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::comm {

/// Settings of blocking communicators.
struct CommOptions {
  /// How long a collective call waits for peers that are alive but absent. A death never takes that long.
  runtime::Milliseconds timeout = std::chrono::seconds(120);
  /// Allows a further communicator on a context that has a live one.
  bool allow_several = false;

  /// Defaults, with TROUPE_COMM_TIMEOUT (seconds, decimals allowed) where set. Errors: bad_config.
  TROUPE_API static Result<CommOptions> from_environment();
};

/// One rank's blocking session: meets its peers, shares windows with them, tears down with them. For rank
/// programs: threads of one process or separate processes of one user on one machine. Actors drive
/// `DomainMember` instead.
///
/// Ranks that name the same `meeting` (any string: a path, a job id) find each other over an abstract
/// AF_UNIX socket; nothing appears in a file system. After alloc_windows one small thread per communicator
/// watches the sockets of the peers: the end of a peer, by whatever means, ends every wait with `peer_lost`.
///
/// Collective calls (alloc_windows, barrier, destroy) are made by every rank in the same order.
class TROUPE_API Communicator {
 public:
  /// Checks the arguments; meets no other rank yet. Errors: bad_rank, bad_argument, bad_config.
  static Result<Communicator> init(std::uint32_t rank, std::uint32_t ranks, std::string meeting,
                                   CommOptions options,
                                   const Environment& environment = Environment::machine());
  /// The same with CommOptions::from_environment().
  static Result<Communicator> init(std::uint32_t rank, std::uint32_t ranks, std::string meeting);

  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;
  ~Communicator();  ///< leaves without waiting for other ranks; peers see peer_lost unless destroy() came
                    ///< before

  std::uint32_t rank() const noexcept;
  std::uint32_t ranks() const noexcept;

  /// Collective: meets, creates and exchanges windows. All ranks succeed or all fail; a failure names the
  /// rank it came from. Once per communicator. Errors: deadline (lists the missing ranks), mismatch,
  /// no_memory, peer_lost, aborted, foreign_peer, too_large, system, wrong_state.
  Result<const runtime::CommContext*> alloc_windows(std::uint64_t bytes);
  /// This rank's window; null before alloc_windows.
  std::byte* local_window_base() const noexcept;
  /// Actual bytes per rank; 0 before alloc_windows.
  std::uint64_t window_size() const noexcept;
  /// Collective. Errors: deadline, peer_lost, aborted, wrong_state.
  Result<void> barrier();
  /// Ends every wait of every rank with `aborted`. Any thread.
  void abort() noexcept;
  /// Collective teardown; everything of this rank is freed, also when it returns an error. Idempotent: a
  /// second call does nothing. It does not wait again for a rank that it has waited for until a deadline
  /// before. Errors: deadline, peer_lost, aborted.
  Result<void> destroy();

  /// The split-phase member behind it: one-sided operations, contexts. Valid from alloc_windows to destroy.
  DomainMember& domain() noexcept;
  const CommOptions& options() const noexcept;

 private:
  struct Impl;
  explicit Communicator(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// The communicators of one device context, and the reference's six functions over them with its return
/// conventions: 0 is ok, anything else an `Errc`; null handle on failure. A platform owns one per context
/// and exports thin C functions over it. The error of the last failed call stays readable.
///
/// Thread-safety: calls on different handles may run at once; a handle is used by one thread at a time.
class TROUPE_API CommSessions {
 public:
  using Handle = Communicator*;

  explicit CommSessions(const Environment& environment = Environment::machine());
  ~CommSessions();  ///< destroys the sessions that are still live, without waiting
  CommSessions(CommSessions&&) = delete;

  /// Fails with already_live when a communicator is live and the options do not allow several.
  Handle comm_init(int rank, int nranks, const char* rootinfo_path);
  Handle comm_init(int rank, int nranks, const char* rootinfo_path, const CommOptions& options);
  int comm_alloc_windows(Handle handle, std::size_t win_size, std::uint64_t* device_ctx_out);
  int comm_get_local_window_base(Handle handle, std::uint64_t* base_out) const;
  int comm_get_window_size(Handle handle, std::size_t* size_out) const;
  int comm_barrier(Handle handle);
  int comm_destroy(Handle handle);

  /// The split-phase member behind a handle: one-sided operations, bounds. Null for an unknown handle.
  DomainMember* domain(Handle handle) noexcept;
  /// Ends every wait in every live communicator, for a context that is being torn down.
  void abort_all() noexcept;
  std::size_t live() const noexcept;
  /// A copy of the last error any call of this table returned.
  std::shared_ptr<const Error> last_error() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::comm
