#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "meeting/message.hpp"

namespace troupe::comm {

/// Sockets of meetings: AF_UNIX, SOCK_SEQPACKET (packets stay whole, descriptors stay with their packet), in
/// the abstract namespace, so that nothing is left behind by whatever end.
///
/// The name is made from the user and the meeting; the listener must still prove to be the same user.
struct MeetingAddress {
  std::uint32_t user;
  std::string meeting;
};

/// The listening socket; empty when somebody else has the name. Errors: system.
Result<FileDescriptor> listen_at(const MeetingAddress& address);
/// A connected socket; empty when nobody listens (yet, or any more). Errors: foreign_peer, system.
Result<FileDescriptor> connect_to(const MeetingAddress& address);
/// The next newcomer of this user; empty when there is none. Strangers are hung up on. Errors: system.
Result<FileDescriptor> accept_from(int listener, std::uint32_t user);

/// One connection on an io_context: packets in, packets out, and its end. All calls and callbacks on the
/// thread that runs the context. Callbacks never come from inside send().
class Connection final : public Link {
 public:
  struct Events {
    std::function<void(Result<Message>, Descriptors)> packet;  ///< an error: bytes that are no message
    std::function<void()> closed;                              ///< once; the peer has gone
  };

  Connection(boost::asio::io_context& io, FileDescriptor socket);
  ~Connection() override;
  Connection(Connection&&) = delete;

  void start(Events events);
  void send(const Message& message, std::span<const int> descriptors) override;
  using Link::send;

 private:
  struct Outgoing {
    std::vector<std::byte> packet;
    Descriptors descriptors;
  };
  enum class Sent : std::uint8_t { yes, later, refused };

  void wait_readable();
  void read_all();
  void wait_writable();
  Sent try_send(std::span<const std::byte> packet, std::span<const int> descriptors);
  void end();

  boost::asio::posix::stream_descriptor socket_;
  Events events_;
  std::deque<Outgoing> outgoing_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool ended_ = false;
};

}  // namespace troupe::comm
