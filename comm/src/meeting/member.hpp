#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "meeting/message.hpp"

namespace troupe::comm {

/// What a rank brings to a meeting; the ranks must agree in all but `rank`.
struct MeetingTerms {
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::uint64_t bytes = 0;
};

/// One rank's side of a meeting, without sockets, threads or clocks: says hello, makes its window when it is
/// welcome, imports everybody's, commits when all have. Every way it can end is `committed` or an error.
class MeetingMember {
 public:
  enum class Phase : std::uint8_t { idle, joining, welcome, offered, imported, committed, failed };

  /// `hub` and `environment` outlive the member.
  MeetingMember(MeetingTerms terms, const Environment& environment, Link& hub)
      : terms_(terms), environment_(environment), hub_(hub) {}

  void start();
  void received(const Message& message, Descriptors descriptors);
  /// The hub's end of the connection is gone.
  void hub_closed();
  /// This rank stops waiting: its deadline came, or somebody aborted it. Of a deadline the hub says who made
  /// it pass; its answer is the end.
  void give_up(Errc why);
  /// That answer does not come either.
  void unanswered();

  Phase phase() const noexcept { return phase_; }
  bool ended() const noexcept { return phase_ == Phase::committed || phase_ == Phase::failed; }
  const std::optional<Error>& error() const noexcept { return error_; }
  /// Valid once welcome.
  std::uint32_t hub_rank() const noexcept { return hub_rank_; }
  /// The committed domain; once.
  DomainMember take_domain() noexcept { return std::move(domain_); }

 private:
  void make_offer(const Message& welcome);
  void import_all(const Message& roster, Descriptors descriptors);
  void commit();
  void fail(Error error);
  /// Fails here and tells the hub, which tells the others.
  void fail_for_all(const Error& error);
  Message message(Message::Kind kind) const;

  MeetingTerms terms_;
  const Environment& environment_;
  Link& hub_;
  Phase phase_ = Phase::idle;
  std::uint32_t hub_rank_ = 0;
  DomainMember domain_;
  std::optional<Error> error_;
};

}  // namespace troupe::comm
