#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "meeting/member.hpp"
#include "meeting/message.hpp"

namespace troupe::comm {

/// The side of a meeting that the first rank plays beside its own membership: seats every rank once, collects
/// their windows, hands them round, and lets all commit or all fail. No sockets, threads or clocks inside;
/// the hub's own member is a connection like any other.
///
/// A rank that cannot agree or has no memory fails the meeting only when all have come: whoever came later
/// would find nobody and wait for its deadline. A death fails it at once.
class MeetingHub {
 public:
  using Connection = std::uint64_t;

  MeetingHub(MeetingTerms terms, DomainId domain, std::uint64_t generation)
      : terms_(terms), domain_(domain), generation_(generation) {}

  /// `link` stays valid until closed() of the connection.
  void received(Connection connection, Link& link, const Message& message, Descriptors descriptors);
  /// The packet was none: the connection gets an answer and counts for nothing.
  void rejected(Connection connection, Link& link, const Error& error);
  void closed(Connection connection);
  /// The hub's own rank stops waiting, and with it all.
  void give_up(Errc why);

  /// A connection that has not said hello and comes too late: says why, when the meeting has failed.
  void turn_away(Link& link) const;

  /// Something around the meeting failed, for all.
  void break_off(const Error& error);

  /// Newcomers are still expected.
  bool gathering() const noexcept { return stage_ == Stage::gathering; }
  bool ended() const noexcept { return stage_ == Stage::committed || stage_ == Stage::failed; }
  /// Who sits at the end of a connection.
  std::optional<std::uint32_t> rank_of(Connection connection) const noexcept;

 private:
  enum class Stage : std::uint8_t { gathering, collecting, handing_round, committed, failed };
  enum class Progress : std::uint8_t { absent, seated, offered, handed, imported };
  struct Seat {
    Progress progress = Progress::absent;
    Connection connection = 0;
    Link* link = nullptr;
    bool settled = false;  ///< it has reported a failure; its going is no death
    WindowBlob blob{};
    FileDescriptor memory;
  };

  void hello(Connection connection, Link& link, const Message& message);
  void offer(std::uint32_t rank, const Message& message, Descriptors descriptors);
  void leave(std::uint32_t rank, Errc why);
  std::string late(std::uint32_t impatient) const;
  void trouble(const Error& error);
  void advance();
  void hand_round();
  void fail(Errc code, std::uint32_t rank, const std::string& text);
  void refuse(Link& link, const Error& error) const;
  void tell_all(const Message& message);
  RankSet seated(Progress at_least) const noexcept;
  Message message(Message::Kind kind) const;

  MeetingTerms terms_;
  DomainId domain_;
  std::uint64_t generation_;
  Stage stage_ = Stage::gathering;
  std::array<Seat, max_ranks> seats_;
  /// How many ranks must have come before the gathering ends: the smallest count anybody named.
  std::uint32_t expected_ = terms_.ranks;
  /// What will fail the meeting once all are here to be told: a disagreement, or a rank without memory.
  std::optional<Error> trouble_;
  std::optional<Error> failure_;
};

}  // namespace troupe::comm
