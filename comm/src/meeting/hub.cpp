#include "meeting/hub.hpp"

#include <algorithm>

#include "windows/windows.hpp"

namespace troupe::comm {

using Kind = Message::Kind;

namespace {

// Descriptors in flight count against the user's file limit: few rosters travel at a time.
constexpr int rosters_in_flight = 2;

std::string name(std::uint32_t rank) { return "rank " + std::to_string(rank); }

}  // namespace

Message MeetingHub::message(Kind kind) const {
  Message result;
  result.kind = kind;
  result.rank = terms_.rank;
  result.ranks = terms_.ranks;
  result.bytes = terms_.bytes;
  result.domain = domain_;
  result.generation = generation_;
  return result;
}

std::optional<std::uint32_t> MeetingHub::rank_of(Connection connection) const noexcept {
  for (std::uint32_t rank = 0; rank < terms_.ranks; ++rank)
    if (seats_[rank].progress != Progress::absent && seats_[rank].connection == connection) return rank;
  return std::nullopt;
}

RankSet MeetingHub::seated(Progress at_least) const noexcept {
  RankSet ranks = 0;
  for (std::uint32_t rank = 0; rank < terms_.ranks; ++rank)
    if (seats_[rank].progress >= at_least) ranks |= rank_bit(rank);
  return ranks;
}

void MeetingHub::received(Connection connection, Link& link, const Message& message,
                          Descriptors descriptors) {
  const auto rank = rank_of(connection);
  if (!rank) {
    if (message.kind == Kind::hello) return hello(connection, link, message);
    return refuse(link, Error(Errc::bad_blob, "say hello first"));
  }
  if (ended()) return;
  Seat& seat = seats_[*rank];
  if (message.kind == Kind::offer && seat.progress == Progress::seated)
    return offer(*rank, message, std::move(descriptors));
  if (message.kind == Kind::imported && seat.progress == Progress::handed) {
    seat.progress = Progress::imported;
    return advance();
  }
  if (message.kind == Kind::failed) {
    const Error error = to_error(message);
    seat.settled = true;
    return trouble(Error(static_cast<Errc>(error.code().value), name(*rank) + ": " + error.message()));
  }
  if (message.kind == Kind::leave) return leave(*rank, static_cast<Errc>(to_error(message).code().value));
  fail(Errc::bad_blob, *rank, name(*rank) + " sent a message out of turn");
}

void MeetingHub::hello(Connection connection, Link& link, const Message& message) {
  if (failure_) return refuse(link, *failure_);
  const bool agrees = message.ranks == terms_.ranks && message.bytes == terms_.bytes;
  const Error disagreement(Errc::mismatch, name(message.rank) + " wants " + std::to_string(message.ranks) +
                                               " ranks and windows of " + std::to_string(message.bytes) +
                                               " bytes, " + name(terms_.rank) + " wants " +
                                               std::to_string(terms_.ranks) + " and " +
                                               std::to_string(terms_.bytes));
  if (!gathering() || (message.rank < terms_.ranks && seats_[message.rank].progress != Progress::absent))
    return refuse(
        link, Error(Errc::mismatch, name(message.rank) + " has joined already; another group uses the name"));
  if (message.rank >= terms_.ranks) {
    refuse(link, disagreement);
  } else {
    Seat& seat = seats_[message.rank];
    seat.progress = Progress::seated;
    seat.connection = connection;
    seat.link = &link;
    link.send(this->message(Kind::welcome));
  }
  expected_ = std::min(expected_, message.ranks);
  if (!agrees) return trouble(disagreement);
  advance();
}

void MeetingHub::trouble(const Error& error) {
  if (!trouble_) trouble_ = error;
  advance();
}

void MeetingHub::offer(std::uint32_t rank, const Message& message, Descriptors descriptors) {
  if (descriptors.size() != 1)
    return fail(Errc::system, rank,
                "the window of " + name(rank) + " came without its memory: too many open files? (ulimit -n)");
  auto offered = decode(message.blobs.front());
  if (!offered) return fail(Errc::bad_blob, rank, name(rank) + ": " + offered.error().message());
  if (offered->spec.rank != rank)
    return fail(Errc::mismatch, rank, name(rank) + " offered a window of " + name(offered->spec.rank));
  Seat& seat = seats_[rank];
  seat.blob = message.blobs.front();
  seat.memory = std::move(descriptors.front());
  seat.progress = Progress::offered;
  advance();
}

void MeetingHub::advance() {
  const RankSet expected = all_ranks(expected_);
  if (gathering() && (seated(Progress::seated) & expected) == expected) stage_ = Stage::collecting;
  if (trouble_ && !gathering())
    return fail(static_cast<Errc>(trouble_->code().value), terms_.rank, trouble_->message());
  if (stage_ == Stage::collecting && seated(Progress::offered) == all_ranks(terms_.ranks))
    stage_ = Stage::handing_round;
  if (stage_ != Stage::handing_round) return;
  if (seated(Progress::imported) == all_ranks(terms_.ranks)) {
    stage_ = Stage::committed;
    for (Seat& seat : seats_) seat.memory.reset();
    return tell_all(message(Kind::committed));
  }
  hand_round();
}

void MeetingHub::hand_round() {
  int in_flight = 0;
  for (const Seat& seat : seats_) in_flight += seat.progress == Progress::handed ? 1 : 0;
  Message roster = message(Kind::roster);
  std::vector<int> memories;
  for (std::uint32_t rank = 0; rank < terms_.ranks; ++rank) {
    roster.blobs.push_back(seats_[rank].blob);
    memories.push_back(seats_[rank].memory.get());
  }
  for (std::uint32_t rank = 0; rank < terms_.ranks && in_flight < rosters_in_flight; ++rank) {
    if (seats_[rank].progress != Progress::offered) continue;
    seats_[rank].progress = Progress::handed;
    ++in_flight;
    seats_[rank].link->send(roster, memories);
  }
}

void MeetingHub::leave(std::uint32_t rank, Errc why) {
  if (why != Errc::deadline) return fail(Errc::aborted, rank, name(rank) + " aborted the communicator");
  const std::string text = late(rank);
  if (!gathering()) return fail(Errc::deadline, rank, text + "; " + name(rank) + " gave up waiting");
  // It may come again; until then it is missing like one that never came.
  refuse(*seats_[rank].link, trouble_ ? *trouble_ : Error(Errc::deadline, text));
  seats_[rank] = Seat();
}

/// For whom all have waited when the patience of `impatient` has ended: those that have not come, or of those
/// that are here the ones whose turn it is. Never that rank itself, and nobody who waits for others in turn.
std::string MeetingHub::late(std::uint32_t impatient) const {
  // Whoever gives up is here, whether or not its own messages have come round to it yet.
  const RankSet others = all_ranks(terms_.ranks) & ~rank_bit(impatient);
  if (gathering()) {
    const RankSet missing = others & ~seated(Progress::seated);
    if (missing != 0) return "rank " + render_ranks(missing) + " did not join in time";
  }
  RankSet holding_up = 0;
  for (std::uint32_t rank = 0; rank < terms_.ranks; ++rank) {
    const Progress progress = seats_[rank].progress;
    if (stage_ == Stage::handing_round ? progress == Progress::handed : progress < Progress::offered)
      holding_up |= rank_bit(rank);
  }
  holding_up &= others;
  if (holding_up == 0) return "the ranks did not agree on their windows in time";
  return "rank " + render_ranks(holding_up) + " did not share its window in time";
}

void MeetingHub::rejected(Connection connection, Link& link, const Error& error) {
  refuse(link, error);
  if (const auto rank = rank_of(connection); rank && !ended())
    fail(Errc::bad_blob, *rank, name(*rank) + ": " + error.message());
}

void MeetingHub::closed(Connection connection) {
  const auto rank = rank_of(connection);
  if (!rank) return;
  const bool death = !ended() && !seats_[*rank].settled;
  if (seats_[*rank].settled)
    seats_[*rank].link = nullptr;
  else if (stage_ != Stage::committed)
    seats_[*rank] = Seat();
  if (death)
    fail(Errc::peer_lost, *rank,
         name(*rank) + " died before all " + std::to_string(terms_.ranks) + " ranks had met");
}

void MeetingHub::give_up(Errc why) {
  if (ended()) return;
  if (why == Errc::aborted) return fail(why, terms_.rank, name(terms_.rank) + " aborted the communicator");
  if (trouble_) return fail(static_cast<Errc>(trouble_->code().value), terms_.rank, trouble_->message());
  fail(Errc::deadline, terms_.rank, late(terms_.rank));
}

void MeetingHub::fail(Errc code, std::uint32_t rank, const std::string& text) {
  stage_ = Stage::failed;
  failure_ = Error(code, text);
  Message failed = message(Kind::failed);
  failed.rank = rank < terms_.ranks ? rank : terms_.rank;
  failed.code = static_cast<std::int32_t>(code);
  failed.text = text;
  for (Seat& seat : seats_) seat.memory.reset();
  tell_all(failed);
}

void MeetingHub::refuse(Link& link, const Error& error) const {
  Message failed = message(Kind::failed);
  failed.code = error.code().value;
  failed.text = error.message();
  link.send(failed);
}

void MeetingHub::break_off(const Error& error) {
  if (!ended())
    fail(static_cast<Errc>(error.code().value), terms_.rank, name(terms_.rank) + ": " + error.message());
}

void MeetingHub::turn_away(Link& link) const {
  if (failure_) refuse(link, *failure_);
}

void MeetingHub::tell_all(const Message& message) {
  for (Seat& seat : seats_)
    if (seat.link != nullptr) seat.link->send(message);
}

}  // namespace troupe::comm
