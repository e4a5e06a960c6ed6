#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/protocol.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::actors {

/// Where the buffers of a window are: offsets and bytes.
using BufferPlaces = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

/// One member of a domain: which chip, in which life.
struct DomainMember {
  std::int32_t chip = -1;
  std::uint32_t incarnation = 0;
  std::uint32_t arena = 0;
  std::string name;
  Chip handle;
  /// Of its window, if it has others than those that all have alike.
  std::optional<BufferPlaces> buffers = {};
};

/// What a communicator wants sent after a message was handled; to members by rank.
struct CommunicatorEffects {
  std::vector<std::pair<std::uint32_t, WindowCreate>> creates;
  std::vector<std::pair<std::uint32_t, WindowImport>> imports;
  std::vector<std::pair<std::uint32_t, WindowAbort>> aborts;
  std::vector<std::pair<std::uint32_t, WindowRelease>> releases;
  std::vector<std::uint32_t> asks;                                        ///< whether they are there at all
  std::optional<Result<DomainInfo>> formed;                               ///< the answer to `Form`
  std::vector<std::pair<std::uint64_t, Result<std::uint64_t>>> barriers;  ///< answers to `Barrier`, by ticket
  std::string warning;
  bool over = false;  ///< nothing of the domain is left: the actor ends
};

/// A domain's life: idle → creating → importing → committing → formed → (revoked) → over. All windows or
/// none: an error or a death on the way takes back what was made. Plain state; the actor around it turns
/// messages into calls and sends the effects.
class TROUPE_API CommunicatorState {
 public:
  enum class Phase : std::uint8_t { idle, creating, importing, committing, formed, revoked, failed };

  CommunicatorState(DomainInfo layout, std::uint64_t window_bytes, std::vector<DomainMember> members,
                    std::string path);

  void form(const Result<comm::DomainId>& id);
  // A member's answers. Those of `import_window` come twice: to the blobs, then to the commit.
  void created(std::uint32_t rank, const Result<WindowOffer>& offer);
  void imported(std::uint32_t rank, const Result<troupe_window_view>& view);
  /// The answer to an ask: the member is there.
  void there();
  /// What a member answers that is not there any more.
  Error lost(std::uint32_t rank) const;

  void member_lost(std::uint32_t rank);
  void member_reset(std::int32_t chip);
  void hold(std::int64_t delta);
  void dissolve();
  /// `ticket`: under which the answer is to be given.
  void arrive(const Barrier& barrier, std::uint64_t ticket);
  void withdraw(RunId run);
  /// The actor ends, whatever the reason: everybody who waits is told, every window goes back.
  void end();

  CommunicatorEffects take() { return std::exchange(effects_, {}); }
  Phase phase() const { return phase_; }
  std::size_t ranks() const { return members_.size(); }

 private:
  struct Member {
    std::int32_t chip = -1;
    std::uint32_t incarnation = 0;
    std::uint32_t arena = 0;
    std::string name;
    std::optional<BufferPlaces> buffers = {};
    bool gone = false;
    std::uint64_t window = 0;  ///< 0: has none (any more)
    // At the barrier that is open.
    bool here = false;
    std::uint64_t ticket = 0;
    RunId run = 0;
  };

  void import_all(bool commit);
  void suspect(const Error& stale);
  void fail(const Error& error);
  void take_back();
  void release_if_unused();
  void answer_barrier(const Result<std::uint64_t>& answer);

  DomainInfo info_;
  std::uint64_t window_bytes_;
  std::string path_;
  std::vector<Member> members_;
  std::vector<troupe_window_blob> blobs_;
  std::vector<std::shared_ptr<const comm::FileDescriptor>>
      memories_;  ///< of the blobs, until all have imported
  Phase phase_ = Phase::idle;
  std::size_t open_ = 0;  ///< members that owe an answer
  std::size_t here_ = 0;  ///< at the barrier
  std::uint64_t barriers_ = 0;
  std::int64_t holds_ = 0;
  bool dissolving_ = false;
  std::optional<Error> revoked_;
  std::optional<Error> suspicion_;  ///< somebody is gone, says a member; who it is, asks will tell
  std::size_t asked_ = 0;           ///< answers that are open
  CommunicatorEffects effects_;
};

}  // namespace troupe::actors
