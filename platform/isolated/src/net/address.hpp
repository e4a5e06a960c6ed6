#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

using Deadline = std::chrono::steady_clock::time_point;

/// Where a node is.
struct Address {
  bool is_local = false;   ///< a socket in the file system, of this user's alone
  std::string host, port;  ///< or the path
  std::string text() const;
};
Result<Address> read_address(std::string_view text);

/// One of those that a name has.
struct Place {
  sockaddr_storage address{};
  socklen_t size = 0;
};
/// A connected socket that does not block.
Result<comm::FileDescriptor> connect_to(const Address& address, Deadline until);
/// To the first that answers. Each gets an equal part of the time that is left.
Result<comm::FileDescriptor> connect_to_one(std::span<const Place> places, const std::string& doing,
                                            Deadline until);
/// A listening one; the address gets the port that was free, if it had none.
Result<comm::FileDescriptor> listen_at(Address& address);
/// Which file has a name now, so that another one of that name is told from it.
struct FileMark {
  dev_t device = 0;
  ino_t file = 0;
  friend bool operator==(const FileMark&, const FileMark&) = default;
};
FileMark mark_of(const std::string& path);
/// Waits until the descriptor can be read (or written). An error: not in time.
Result<void> wait_for(int descriptor, bool to_write, Deadline until);
/// Whether who has connected to a socket of the file system is this user.
bool is_own_user(int socket);
/// Whose address, for people.
std::string peer_of(int socket);

}  // namespace troupe::platform::isolation
