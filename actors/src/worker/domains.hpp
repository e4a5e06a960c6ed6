#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "domain/domain.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/protocol.hpp"
#include "worker/children.hpp"

namespace troupe::actors {

/// The communication domains of a worker: which there are and whose they are, at whose barrier runs have
/// been, and which wait for a chip that is coming back. Plain state.
class TROUPE_API Domains {
 public:
  /// Whose domains those of the configuration are.
  static constexpr RunId configured = ~RunId{0};

  struct Waiting {
    AllocateDomain order;
    Reply<Result<DomainInfo>> promise;
  };
  /// What a domain would be made of.
  struct Plan {
    DomainInfo layout;
    std::uint64_t window_bytes = 0;
    std::vector<DomainMember> members;
    bool coming = false;  ///< a chip is being restarted: it comes back, or is retired
  };
  /// Of chips of this node, whose number is `node`. An error: that domain can never be.
  static Result<Plan> plan(const DomainSpec& spec, const Children& chips, std::uint32_t node);

  /// The number of the next domain.
  std::uint64_t next_number() { return next_++; }
  void add(std::uint64_t domain, Communicator handle, RunId run) {
    domains_.emplace(domain, Domain{std::move(handle), run});
  }
  /// Null: it is over.
  const Communicator* find(std::uint64_t domain) const;
  void forget(std::uint64_t domain) { domains_.erase(domain); }
  /// Whether that was a domain: it has ended with its last task, and is forgotten.
  bool ended(const caf::actor_addr& who);
  /// It is let go of, by its run or for it: it goes with its last task.
  void released(std::uint64_t domain);
  /// The run has been at its barrier.
  void met(std::uint64_t domain, RunId run) { met_[run].insert(domain); }

  struct Leaving {
    std::vector<std::uint64_t> withdraw;  ///< at whose barriers the run may wait
    std::vector<std::uint64_t> release;   ///< that it forgot
  };
  Leaving run_ended(RunId run);

  void wait(Waiting waiting) { waiting_.push_back(std::move(waiting)); }
  /// All that wait; they wait no more.
  std::vector<Waiting> take_waiting() { return std::exchange(waiting_, {}); }

  std::vector<Communicator> all() const;
  void clear() { domains_.clear(), waiting_.clear(); }

 private:
  struct Domain {
    Communicator handle;
    RunId run = 0;  ///< 0: released
  };
  std::map<std::uint64_t, Domain> domains_;
  std::map<RunId, std::set<std::uint64_t>> met_;
  std::vector<Waiting> waiting_;
  std::uint64_t next_ = 1;
};

}  // namespace troupe::actors
