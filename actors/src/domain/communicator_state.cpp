#include "domain/communicator_state.hpp"

#include <algorithm>
#include <utility>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::actors {
namespace {

/// What lies between buffers.
std::shared_ptr<const std::vector<troupe_window_gap>> gaps_of(BufferPlaces buffers) {
  std::sort(buffers.begin(), buffers.end());
  auto between = std::make_shared<std::vector<troupe_window_gap>>();
  std::uint64_t end = 0;
  for (const auto& [offset, bytes] : buffers) {
    if (offset > end) between->push_back({end, offset - end});
    end = offset + bytes;
  }
  return between;
}

}  // namespace

CommunicatorState::CommunicatorState(DomainInfo layout, std::uint64_t window_bytes,
                                     std::vector<DomainMember> members, std::string path)
    : info_(std::move(layout)),
      window_bytes_(window_bytes),
      path_(std::move(path)),
      blobs_(members.size()),
      memories_(members.size()) {
  for (auto& member : members) {
    members_.push_back(
        {member.chip, member.incarnation, member.arena, std::move(member.name), std::move(member.buffers)});
  }
}

// --- forming -------------------------------------------------------------------------------------

void CommunicatorState::form(const Result<comm::DomainId>& id) {
  phase_ = Phase::creating;
  if (!id) return fail(id.error());
  open_ = members_.size();
  BufferPlaces alike;
  for (const auto& [name, place] : info_.buffers) alike.push_back(place);
  for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
    const auto between = gaps_of(members_[rank].buffers.value_or(alike));
    WindowCreate create;
    create.spec.domain[0] = id->high;
    create.spec.domain[1] = id->low;
    create.spec.epoch = info_.epoch;
    create.spec.bytes = window_bytes_;
    create.spec.rank = rank;
    create.spec.rank_count = static_cast<std::uint32_t>(members_.size());
    create.spec.gaps = between->data();
    create.spec.gap_count = between->size();
    create.gaps = between;
    create.incarnation = members_[rank].incarnation;
    effects_.creates.emplace_back(rank, create);
  }
}

void CommunicatorState::created(std::uint32_t rank, const Result<WindowOffer>& offer) {
  auto& member = members_[rank];
  if (offer && !member.gone) {
    member.window = offer->window;
    blobs_[rank] = offer->blob;
    memories_[rank] = offer->memory;
  }
  --open_;
  if (phase_ == Phase::failed) return take_back();
  if (!offer) return fail(offer.error().inside(member.name));
  if (open_ == 0) import_all(false);
}

void CommunicatorState::import_all(bool commit) {
  phase_ = commit ? Phase::committing : Phase::importing;
  if (commit) memories_.clear();  // everybody has them
  open_ = members_.size();
  for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
    const auto& member = members_[rank];
    WindowImport import;
    import.window = member.window;
    import.commit = commit;
    if (!commit) import.blobs = blobs_, import.memories = memories_;
    import.incarnation = member.incarnation;
    effects_.imports.emplace_back(rank, std::move(import));
  }
}

void CommunicatorState::imported(std::uint32_t rank, const Result<troupe_window_view>& view) {
  const auto& member = members_[rank];
  --open_;
  if (phase_ == Phase::failed) return take_back();
  if (suspicion_) return;
  // The windows were made for this domain: one that is another's by now was given up by a member that is
  // gone. The one that says so is not to blame: each is asked whether it is there.
  if (!view && view.error() == comm::Errc::stale) return suspect(view.error());
  if (!view) return fail(view.error().inside(member.name));
  if (phase_ == Phase::importing) {
    if (open_ == 0) import_all(true);
    return;
  }
  info_.ranks[rank] = {
      member.chip,           member.arena,     device_generation(member.incarnation, info_.id),
      view->context_address, view->local_base, view->bytes};
  if (open_ > 0) return;
  phase_ = Phase::formed;
  effects_.formed = Result<DomainInfo>(info_);
  release_if_unused();
}

void CommunicatorState::suspect(const Error& stale) {
  suspicion_ = Error(comm::Errc::peer_lost, path_ + ": a member is gone: " + stale.message());
  asked_ = members_.size();
  for (std::uint32_t rank = 0; rank < members_.size(); ++rank) effects_.asks.push_back(rank);
}

void CommunicatorState::there() {
  if (--asked_ == 0 && phase_ != Phase::failed) fail(*suspicion_);
}

void CommunicatorState::fail(const Error& error) {
  phase_ = Phase::failed;
  effects_.formed = Result<DomainInfo>(error);
  take_back();
}

/// Windows of members that are late with their answer follow when it comes.
void CommunicatorState::take_back() {
  for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
    auto& member = members_[rank];
    const auto window = std::exchange(member.window, 0);
    if (window != 0) effects_.releases.emplace_back(rank, WindowRelease{window, member.incarnation});
  }
  if (open_ == 0) effects_.over = true;
}

// --- deaths --------------------------------------------------------------------------------------

Error CommunicatorState::lost(std::uint32_t rank) const {
  return {comm::Errc::peer_lost,
          path_ + ": rank " + std::to_string(rank) + " (" + members_[rank].name + ") is gone"};
}

void CommunicatorState::member_reset(std::int32_t chip) {
  for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
    if (members_[rank].chip == chip) member_lost(rank);
  }
}

void CommunicatorState::member_lost(std::uint32_t rank) {
  if (members_[rank].gone) return;
  const auto error = lost(rank);
  members_[rank].gone = true;
  members_[rank].window = 0;  // died with its chip
  // Ends every wait on the domain, in kernels too; the windows stay until their tasks have ended.
  for (std::uint32_t other = 0; other < members_.size(); ++other) {
    const auto& member = members_[other];
    if (member.window == 0) continue;
    effects_.aborts.emplace_back(
        other, WindowAbort{member.window, static_cast<std::int32_t>(comm::Errc::peer_lost), rank,
                           member.incarnation});
  }
  effects_.warning = error.message() + "; the domain is revoked";
  if (!revoked_) revoked_ = error;
  answer_barrier(error);
  if (phase_ == Phase::formed) {
    phase_ = Phase::revoked;
  } else if (phase_ != Phase::revoked && phase_ != Phase::failed && phase_ != Phase::idle) {
    fail(error.inside(members_[rank].name));
  }
}

// --- use -----------------------------------------------------------------------------------------

void CommunicatorState::hold(std::int64_t delta) {
  holds_ += delta;
  release_if_unused();
}

void CommunicatorState::dissolve() {
  dissolving_ = true;
  release_if_unused();
}

void CommunicatorState::release_if_unused() {
  if (!dissolving_ || holds_ > 0 || (phase_ != Phase::formed && phase_ != Phase::revoked)) return;
  end();
}

void CommunicatorState::end() {
  const bool forming = phase_ == Phase::creating || phase_ == Phase::importing || phase_ == Phase::committing;
  if (forming) effects_.formed = Error(Errc::shut_down, path_ + " ended while it was formed");
  answer_barrier(Error(comm::Errc::peer_lost, path_ + " was released while a rank waited at its barrier"));
  take_back();
  effects_.over = true;
}

void CommunicatorState::arrive(const Barrier& barrier, std::uint64_t ticket) {
  auto refuse = [&](Error error) { effects_.barriers.emplace_back(ticket, std::move(error)); };
  if (revoked_) return refuse(*revoked_);
  if (barrier.rank >= members_.size()) {
    return refuse({Errc::bad_argument, path_ + " has ranks 0 to " + std::to_string(members_.size() - 1) +
                                           ", not " + std::to_string(barrier.rank)});
  }
  if (phase_ != Phase::formed || barrier.epoch != info_.epoch) {
    return refuse({Errc::wrong_state, path_ + " is not the domain that was meant: it is in epoch " +
                                          std::to_string(info_.epoch) + ", not " +
                                          std::to_string(barrier.epoch)});
  }
  auto& member = members_[barrier.rank];
  if (member.here) {
    return refuse({Errc::wrong_state,
                   path_ + ": rank " + std::to_string(barrier.rank) + " waits at the barrier already",
                   "a rank has one program at a time that speaks for it"});
  }
  member.here = true;
  member.ticket = ticket;
  member.run = barrier.run;
  if (++here_ == members_.size()) answer_barrier(++barriers_);
}

void CommunicatorState::withdraw(RunId run) {
  for (auto& member : members_) {
    if (!member.here || member.run != run) continue;
    member.here = false;
    --here_;
    effects_.barriers.emplace_back(member.ticket,
                                   Error(Errc::cancelled, path_ + ": the run that waited is over"));
  }
}

void CommunicatorState::answer_barrier(const Result<std::uint64_t>& answer) {
  for (auto& member : members_) {
    if (std::exchange(member.here, false)) effects_.barriers.emplace_back(member.ticket, answer);
  }
  here_ = 0;
}

}  // namespace troupe::actors
