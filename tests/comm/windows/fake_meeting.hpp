#pragma once

#include <fcntl.h>

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "meeting/hub.hpp"
#include "meeting/member.hpp"

namespace troupe::comm::test {

/// A meeting without sockets: one queue per direction and connection, and a caller who decides what is
/// delivered next, who dies and whose patience ends. As with sockets, what was said before a death arrives.
class FakeMeeting {
 public:
  struct Packet {
    std::vector<std::byte> bytes;
    std::shared_ptr<Descriptors> descriptors;
  };

  /// One connection: rank `seat` talks to the hub.
  struct Wire {
    struct End final : Link {
      std::deque<Packet> queue;
      using Link::send;
      void send(const Message& message, std::span<const int> descriptors) override {
        auto copies = std::make_shared<Descriptors>();
        for (const int fd : descriptors) copies->emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        queue.push_back({encode(message), copies});
      }
    };
    MeetingTerms terms;
    End to_hub, to_member;
    std::optional<MeetingMember> member;
    bool member_gone = false;  ///< died or left: the hub will see the end of the connection
    bool hub_saw_end = false, member_saw_end = false;
  };

  /// The first of `terms` is the hub's own rank.
  explicit FakeMeeting(const std::vector<MeetingTerms>& terms,
                       const std::vector<const Environment*>& machines = {}) {
    hub.emplace(terms.front(), DomainId{1, terms.size()}, 1);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      wires.push_back(std::make_unique<Wire>());
      wires.back()->terms = terms[i];
      const Environment* machine = i < machines.size() ? machines[i] : nullptr;
      wires.back()->member.emplace(terms[i], machine != nullptr ? *machine : Environment::machine(),
                                   wires.back()->to_hub);
    }
  }

  MeetingMember& member(std::size_t i) { return *wires[i]->member; }

  void kill(std::size_t i) {
    wires[i]->member.reset();
    wires[i]->member_gone = true;
    if (i == 0) hub.reset();  // the hub dies with its rank
  }

  /// Delivers the next packet or end of connection in one direction; false when there is nothing.
  bool deliver(std::size_t i, bool to_hub) { return to_hub ? deliver_to_hub(i) : deliver_to_member(i); }

  /// Delivers until nothing is left, always the first that can move.
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < wires.size(); ++i) moved = deliver(i, true) || deliver(i, false) || moved;
    }
  }

  std::optional<MeetingHub> hub;
  std::vector<std::unique_ptr<Wire>> wires;

 private:
  bool deliver_to_hub(std::size_t i) {
    Wire& wire = *wires[i];
    if (!hub) return false;
    if (!wire.to_hub.queue.empty()) {
      const Packet packet = std::move(wire.to_hub.queue.front());
      wire.to_hub.queue.pop_front();
      auto message = decode_message(packet.bytes);
      if (message)
        hub->received(i, wire.to_member, *message, std::move(*packet.descriptors));
      else
        hub->rejected(i, wire.to_member, message.error());
      return true;
    }
    // A member that failed hangs up, too.
    const bool hung_up =
        wire.member_gone || (wire.member && wire.member->phase() == MeetingMember::Phase::failed);
    if (i == 0 || !hung_up || wire.hub_saw_end) return false;
    wire.hub_saw_end = true;
    hub->closed(i);
    return true;
  }

  bool deliver_to_member(std::size_t i) {
    Wire& wire = *wires[i];
    if (!wire.member) return false;
    if (!wire.to_member.queue.empty()) {
      const Packet packet = std::move(wire.to_member.queue.front());
      wire.to_member.queue.pop_front();
      wire.member->received(decode_message(packet.bytes).value(), std::move(*packet.descriptors));
      return true;
    }
    if (hub || wire.member_saw_end || wire.member->phase() == MeetingMember::Phase::idle) return false;
    wire.member_saw_end = true;
    wire.member->hub_closed();
    return true;
  }
};

}  // namespace troupe::comm::test
