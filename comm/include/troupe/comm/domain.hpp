#pragma once

// One rank's part of a communication domain. A DomainMember owns its window and its mappings of the others'.
// The owner exchanges the blobs and tells it of deaths: it has no thread and no socket of its own. Threads,
// life cycle and order of the calls: see the class.
// Errors are Results; a call at the wrong time is wrong_state, and once a member has died or given up every
// wait ends with peer_lost or aborted.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "troupe/comm/environment.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/window.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {
struct CommContext;
}

namespace troupe::comm {

/// How a waiting thread behaves before it parks. Spinning costs a core, parking costs a wake-up (tens of
/// microseconds); the defaults spin only while every rank can have a core of its own.
struct WaitPolicy {
  std::uint32_t spins = 0;   ///< looks at the word, with a pause in between
  std::uint32_t yields = 0;  ///< looks with the processor offered to others in between

  /// Spins when `ranks` fit on `processors`, otherwise yields a bounded number of times.
  TROUPE_API static WaitPolicy for_ranks(std::uint32_t ranks, unsigned processors) noexcept;
};

/// Set of ranks, bit r = rank r.
using RankSet = std::uint64_t;

/// A barrier that a member has arrived at and not left, for `test` and `withdraw`. 0 is none.
using BarrierTicket = std::uint64_t;

/// One rank's part of a communication domain, split-phase: nothing here but `barrier` and the one-sided
/// `wait_until` blocks. It is what a communicator actor drives through the device ABI, and what
/// `Communicator` is built on.
///
///   create → blob() to all peers → import() of every peer's blob → commit → … → release
///                    └──────────── abort() at any time ──────────┘
///
/// - Before commit no peer can be hurt: `release` or the destructor takes everything back.
/// - After commit the members share an epoch. It ends for all of them, once, by `mark_lost` (a member died;
///   the owner that notices it calls this, on any one live member) or `abort` (a member gives up): every
///   wait, in every process, ends with `peer_lost` or `aborted`, and so does every later one. A new domain
///   has a new id and generation.
/// - Mappings live until `release`, so windows of dead or released peers stay readable.
///
/// Thread-safety: create/import/commit/release by one owner at a time; after commit any thread may barrier
/// (one per member at a time), use one-sided operations, abort, mark_lost and revocation().
class TROUPE_API DomainMember {
 public:
  enum class State : std::uint8_t { empty, created, committed, released };

  DomainMember();
  DomainMember(DomainMember&&) noexcept;
  DomainMember& operator=(DomainMember&&) noexcept;
  ~DomainMember();  ///< releases

  /// Makes this rank's window. Errors: bad_rank, too_large, no_memory, system.
  static Result<DomainMember> create(const WindowSpec& spec,
                                     const Environment& environment = Environment::machine());

  State state() const noexcept;
  const WindowSpec& spec() const noexcept;

  /// The blob that the peers import. Valid from create to commit.
  Result<WindowBlob> blob() const;
  /// The memory behind the blob, for peers in other processes (SCM_RIGHTS). Open from create to commit.
  int memory() const noexcept;

  /// Maps the window of a peer that lives in this process. Its own blob is accepted and ignored; a second
  /// import of a rank is wrong_state. Errors: Window::import's, and stale when the peer has withdrawn.
  Result<void> import(std::span<const std::byte> blob);
  /// The same for a peer of another process, whose memory came along.
  Result<void> import(std::span<const std::byte> blob, FileDescriptor memory);
  /// Ranks not imported yet.
  RankSet missing() const noexcept;

  /// All peers are imported: fills the context, closes the memory descriptors. wrong_state names the ranks
  /// that are missing.
  Result<void> commit();

  /// The context for kernels: stable address from commit to release; its pointers are valid in this process
  /// only. Null outside that span.
  const runtime::CommContext* context() const noexcept;
  /// The window of `rank` through this member's mapping; empty before commit or for a bad rank.
  std::span<std::byte> window(std::uint32_t rank) const noexcept;
  /// Which window an address of this member's mappings lies in.
  struct Location {
    std::uint32_t rank;
    std::uint64_t offset;
  };
  std::optional<Location> locate(const void* address) const noexcept;

  /// Ends the epoch for every member: this one gives up. Before commit only this member is concerned.
  void abort() noexcept;
  /// Ends the epoch for every member: `rank` died. The first reason stays the reason; further dead ranks are
  /// added to lost_ranks(). Ignored before commit.
  void mark_lost(std::uint32_t rank) noexcept;
  RankSet lost_ranks() const noexcept;
  /// peer_lost or aborted once the epoch has ended (wrong_state before commit), otherwise nothing.
  Result<void> check() const;

  /// Arrives at the next barrier without waiting. Errors: peer_lost, aborted; wrong_state also while the
  /// barrier before is incomplete and not withdrawn.
  Result<BarrierTicket> arrive();
  /// True once every rank has arrived. Errors: peer_lost, aborted.
  Result<bool> test(BarrierTicket ticket) const;
  /// Takes an arrival back: true when it was taken back, false when the barrier had completed already.
  Result<bool> withdraw(BarrierTicket ticket);
  /// The ranks that have not arrived at the barrier of `ticket`.
  RankSet absent(BarrierTicket ticket) const noexcept;
  /// arrive, wait, and on the deadline withdraw: the error lists the absent ranks, the domain stays usable.
  /// Errors: deadline, peer_lost, aborted, wrong_state.
  Result<void> barrier(Deadline until = never);

  /// The ranks that the last blocking call of this member waited for until its deadline; 0: all of them came.
  RankSet waited_in_vain() const noexcept;

  /// commit() chooses one; call before other threads wait.
  void set_wait_policy(WaitPolicy policy) noexcept;

  /// Unmaps everything; idempotent. A member that leaves a committed domain on its own revokes it for the
  /// others (peer_lost) unless `depart` has been called by all.
  void release() noexcept;
  /// Collective teardown, split: tells the others that this member is leaving; true from `all_departed` means
  /// that release disturbs no other member.
  void depart() noexcept;
  bool all_departed() const noexcept;
  /// depart, then wait for the others. Errors: deadline, peer_lost, aborted. Release afterwards either way.
  Result<void> wait_departed(Deadline until);

 private:
  friend class OneSided;
  friend struct DomainAccess;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "2" or "0, 3 and 7".
TROUPE_API std::string render_ranks(RankSet ranks);

}  // namespace troupe::comm
