#include "meeting/member.hpp"

#include "windows/windows.hpp"

namespace troupe::comm {

using Kind = Message::Kind;

Message MeetingMember::message(Kind kind) const {
  Message result;
  result.kind = kind;
  result.rank = terms_.rank;
  result.ranks = terms_.ranks;
  result.bytes = terms_.bytes;
  return result;
}

void MeetingMember::start() {
  phase_ = Phase::joining;
  hub_.send(message(Kind::hello));
}

void MeetingMember::received(const Message& message, Descriptors descriptors) {
  if (ended()) return;
  if (message.kind == Kind::failed) return fail(to_error(message));
  if (message.kind == Kind::welcome && phase_ == Phase::joining) return make_offer(message);
  if (message.kind == Kind::roster && phase_ == Phase::offered)
    return import_all(message, std::move(descriptors));
  if (message.kind == Kind::committed && phase_ == Phase::imported) return commit();
  fail_for_all(Error(Errc::bad_blob, "the hub sent message " +
                                         std::to_string(static_cast<std::uint32_t>(message.kind)) +
                                         " out of turn to rank " + std::to_string(terms_.rank)));
}

void MeetingMember::make_offer(const Message& welcome) {
  phase_ = Phase::welcome;
  hub_rank_ = welcome.rank;
  auto member = DomainMember::create({.domain = welcome.domain,
                                      .generation = welcome.generation,
                                      .rank = terms_.rank,
                                      .ranks = terms_.ranks,
                                      .bytes = terms_.bytes},
                                     environment_);
  if (!member) return fail_for_all(member.error());
  domain_ = std::move(*member);
  auto blob = domain_.blob();
  if (!blob) return fail_for_all(blob.error());
  Message offer = message(Kind::offer);
  offer.blobs.push_back(*blob);
  const int memory = domain_.memory();
  phase_ = Phase::offered;
  hub_.send(offer, {&memory, 1});
}

void MeetingMember::import_all(const Message& roster, Descriptors descriptors) {
  if (roster.ranks != terms_.ranks || descriptors.size() != roster.blobs.size())
    return fail_for_all(Error(Errc::system,
                              "rank " + std::to_string(terms_.rank) + " received " +
                                  std::to_string(descriptors.size()) + " of " + std::to_string(terms_.ranks) +
                                  " window descriptors",
                              "too many open files? (ulimit -n)"));
  for (std::uint32_t rank = 0; rank < terms_.ranks; ++rank) {
    if (auto imported = domain_.import(roster.blobs[rank], std::move(descriptors[rank])); !imported)
      return fail_for_all(imported.error());
  }
  phase_ = Phase::imported;
  hub_.send(message(Kind::imported));
}

void MeetingMember::commit() {
  if (auto committed = domain_.commit(); !committed) return fail(committed.error());
  phase_ = Phase::committed;
}

void MeetingMember::hub_closed() {
  if (ended()) return;
  const std::string who = phase_ >= Phase::welcome ? "rank " + std::to_string(hub_rank_) + " died"
                                                   : "the rank that came first died";
  fail(Error(Errc::peer_lost, who + " before all " + std::to_string(terms_.ranks) + " ranks had met"));
}

void MeetingMember::give_up(Errc why) {
  if (ended()) return;
  Message leave = message(Kind::leave);
  leave.code = static_cast<std::int32_t>(why);
  hub_.send(leave);
  if (why == Errc::aborted)
    fail(Error(Errc::aborted, "rank " + std::to_string(terms_.rank) + " aborted the communicator"));
}

void MeetingMember::unanswered() {
  if (ended()) return;
  const std::string who = phase_ >= Phase::welcome
                              ? "rank " + std::to_string(hub_rank_) + ", which came first,"
                              : std::string("the rank that came first");
  fail(Error(Errc::deadline, who + " did not answer in time", "is its process stopped?"));
}

void MeetingMember::fail(Error error) {
  error_ = std::move(error);
  phase_ = Phase::failed;
  domain_ = DomainMember();
}

void MeetingMember::fail_for_all(const Error& error) {
  Message failed = message(Kind::failed);
  failed.code = error.code().value;
  failed.text = error.message();
  hub_.send(failed);
  fail(error);
}

}  // namespace troupe::comm
