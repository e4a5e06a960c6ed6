// How an epoch ends, and the barrier inside it.
#include <string>

#include "windows/domain_impl.hpp"

namespace troupe::comm {

void DomainMember::Impl::end(EndKind kind, std::uint32_t rank) noexcept {
  std::atomic<std::uint64_t>& word = committed() ? meeting->revocation : early_end;
  std::uint64_t none = 0;
  word.compare_exchange_strong(none, end_word(kind, rank), std::memory_order_seq_cst);
  if (!committed()) return;
  if (kind != EndKind::aborted) meeting->lost.fetch_or(rank_bit(rank), std::memory_order_seq_cst);
  wake_everybody();
}

void DomainMember::Impl::wake_everybody() const noexcept {
  announce(meeting->barrier, *environment);
  for (std::uint32_t rank = 0; rank < spec.ranks; ++rank) announce(headers[rank]->inbox, *environment);
}

Error DomainMember::Impl::why_ended() const {
  const std::uint64_t word = committed() ? meeting->revocation.load() : early_end.load();
  const auto kind = static_cast<EndKind>(word & 0xffU);
  const auto who = static_cast<std::uint32_t>(word >> 8U & (max_ranks - 1));
  std::string text = "rank " + std::to_string(who);
  text += kind == EndKind::aborted ? " aborted the domain"
          : kind == EndKind::left  ? " left the domain"
                                   : " died";
  // Whoever went because it had waited in vain is not the cause; nor are those that came too late for it.
  RankSet waited_for = 0;
  if (committed() && who < spec.ranks) {
    waited_for = headers[who]->blamed.load() & all_ranks(spec.ranks) & ~rank_bit(who);
    if (const BarrierTicket at = headers[who]->blamed_at.load(); at != 0) waited_for = late(at, waited_for);
  }
  if (waited_for != 0)
    text = "rank " + render_ranks(waited_for) + " did not come in time, after which " + text;
  if (kind == EndKind::aborted) return Error(Errc::aborted, std::move(text));
  const RankSet lost = committed() ? meeting->lost.load() & all_ranks(spec.ranks) : 0;
  if ((lost & (lost - 1)) != 0) text += " (gone by now: " + render_ranks(lost) + ")";
  return Error(Errc::peer_lost, std::move(text),
               "the epoch is over; allocate a new domain among the survivors");
}

bool DomainMember::Impl::all_departed() const noexcept {
  for (std::uint32_t rank = 0; rank < spec.ranks; ++rank)
    if (headers[rank]->departed.load(std::memory_order_seq_cst) == 0) return false;
  return true;
}

RankSet DomainMember::Impl::absent(BarrierTicket ticket) const noexcept {
  RankSet ranks = 0;
  for (std::uint32_t rank = 0; rank < spec.ranks; ++rank)
    if (headers[rank]->arrived.load(std::memory_order_acquire) < ticket) ranks |= rank_bit(rank);
  return ranks;
}

RankSet DomainMember::Impl::late(BarrierTicket ticket, RankSet ranks) const noexcept {
  RankSet been = 0;
  for (std::uint32_t rank = 0; rank < spec.ranks; ++rank) {
    if (headers[rank]->gave_up.load(std::memory_order_acquire) >= ticket ||
        headers[rank]->arrived.load(std::memory_order_acquire) >= ticket)
      been |= rank_bit(rank);
  }
  return ranks & ~been;
}

void DomainMember::Impl::blame(RankSet ranks, BarrierTicket at) noexcept {
  if (ranks == blamed && ranks == 0) return;
  blamed = ranks;
  own().blamed_at.store(at, std::memory_order_seq_cst);
  own().blamed.store(ranks, std::memory_order_seq_cst);
}

RankSet DomainMember::waited_in_vain() const noexcept {
  return state() == State::committed ? impl_->blamed : 0;
}

void DomainMember::abort() noexcept {
  if (impl_ && impl_->state != State::released) impl_->end(EndKind::aborted, impl_->spec.rank);
}

void DomainMember::mark_lost(std::uint32_t rank) noexcept {
  if (!impl_ || impl_->state == State::released || rank >= impl_->spec.ranks) return;
  // Who has torn down together with everybody else may close its socket. But it may also have been killed
  // after the last word of the teardown and before the wake-up that belongs to it.
  if (impl_->committed() && impl_->all_departed()) return impl_->wake_everybody();
  impl_->end(EndKind::lost, rank);
}

RankSet DomainMember::lost_ranks() const noexcept {
  return state() == State::committed ? impl_->meeting->lost.load() & all_ranks(impl_->spec.ranks) : 0;
}

Result<void> DomainMember::check() const {
  if (state() == State::created && impl_->early_end != 0) return impl_->why_ended();
  if (state() != State::committed) return Error(Errc::wrong_state, "the domain is not committed");
  if (impl_->ended()) return impl_->why_ended();
  return {};
}

// The barrier is one counter of all arrivals that ever were: barrier k (from 1) is complete once it has
// reached k * ranks. It never goes back to zero, so a fast rank that enters the next barrier disturbs nobody,
// and an arrival can be taken back exactly while its barrier is incomplete: one word decides.

Result<BarrierTicket> DomainMember::arrive() {
  if (state() != State::committed) return Error(Errc::wrong_state, "a barrier needs a committed domain");
  Impl& impl = *impl_;
  if (impl.ended()) return impl.why_ended();
  // Who came twice would stand in for one who has not come.
  if (impl.barriers != impl.passed &&
      impl.meeting->arrivals.load(std::memory_order_seq_cst) < impl.barriers * impl.spec.ranks)
    return Error(Errc::wrong_state, "this rank has arrived at a barrier that is not complete yet",
                 "test its ticket until it is, or withdraw it");
  const BarrierTicket ticket = impl.barriers + 1;
  impl.own().arrived.store(ticket, std::memory_order_release);
  const std::uint64_t arrivals = impl.meeting->arrivals.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (arrivals >= ticket * impl.spec.ranks) announce(impl.meeting->barrier, *impl.environment);
  impl.barriers = ticket;
  return ticket;
}

Result<bool> DomainMember::test(BarrierTicket ticket) const {
  if (state() != State::committed) return Error(Errc::wrong_state, "a barrier needs a committed domain");
  if (impl_->meeting->arrivals.load(std::memory_order_seq_cst) >= ticket * impl_->spec.ranks) return true;
  if (impl_->ended()) return impl_->why_ended();
  return false;
}

Result<bool> DomainMember::withdraw(BarrierTicket ticket) {
  if (state() != State::committed) return Error(Errc::wrong_state, "a barrier needs a committed domain");
  Impl& impl = *impl_;
  if (ticket == 0 || ticket != impl.barriers)
    return Error(Errc::wrong_state, "only the latest arrival can be withdrawn");
  std::uint64_t arrivals = impl.meeting->arrivals.load(std::memory_order_seq_cst);
  do {
    if (arrivals >= ticket * impl.spec.ranks) return false;
  } while (!impl.meeting->arrivals.compare_exchange_weak(arrivals, arrivals - 1, std::memory_order_seq_cst));
  impl.own().gave_up.store(ticket, std::memory_order_release);
  impl.own().arrived.store(ticket - 1, std::memory_order_release);
  impl.barriers = ticket - 1;
  return true;
}

RankSet DomainMember::absent(BarrierTicket ticket) const noexcept {
  return state() == State::committed ? impl_->absent(ticket) : 0;
}

Result<void> DomainMember::barrier(Deadline until) {
  auto ticket = arrive();
  if (!ticket) return ticket.error();
  Impl& impl = *impl_;
  const std::uint64_t target = *ticket * impl.spec.ranks;
  const Waited waited = wait_for(
      impl.meeting->barrier, impl.patience, *impl.environment, until,
      [&] { return impl.meeting->arrivals.load(std::memory_order_seq_cst) >= target; },
      [&] { return impl.ended(); });
  if (waited == Waited::ready) {
    impl.passed = *ticket;
    impl.blame(0);
    return {};
  }
  if (waited == Waited::ended) return impl.why_ended();
  const RankSet absent = impl.absent(*ticket);
  auto withdrawn = withdraw(*ticket);
  if (!withdrawn) return withdrawn.error();
  if (!*withdrawn) return {};  // everybody came while we were giving up
  // When all that are absent have been here and gave up, it is they who did not wait.
  const RankSet never_came = impl.late(*ticket, absent);
  const RankSet late = never_came != 0 ? never_came : absent;
  impl.blame(late, *ticket);
  std::string text = "rank " + render_ranks(late) + " did not come to the barrier in time";
  if (absent != late) text += ", and rank " + render_ranks(absent & ~late) + " gave up waiting";
  return Error(
      Errc::deadline, std::move(text),
      "the arrival was withdrawn and the domain stays usable; raise TROUPE_COMM_TIMEOUT for slow peers");
}

void DomainMember::depart() noexcept {
  if (state() != State::committed) return;
  impl_->own().departed.store(1, std::memory_order_seq_cst);
  if (impl_->all_departed()) announce(impl_->meeting->barrier, *impl_->environment);
}

bool DomainMember::all_departed() const noexcept {
  return state() == State::committed && impl_->all_departed();
}

Result<void> DomainMember::wait_departed(Deadline until) {
  if (state() != State::committed) return Error(Errc::wrong_state, "the domain is not committed");
  Impl& impl = *impl_;
  depart();
  const Waited waited = wait_for(
      impl.meeting->barrier, impl.patience, *impl.environment, until, [&] { return impl.all_departed(); },
      [&] { return impl.ended(); });
  // An epoch that was cut short stays so, even when everybody came to tear it down.
  if (impl.ended()) return impl.why_ended();
  if (waited == Waited::ready) return {};
  RankSet absent = 0;
  for (std::uint32_t rank = 0; rank < impl.spec.ranks; ++rank)
    if (impl.headers[rank]->departed.load() == 0) absent |= rank_bit(rank);
  impl.blame(absent);
  return Error(Errc::deadline, "rank " + render_ranks(absent) + " did not come to tear the domain down");
}

}  // namespace troupe::comm
